package sink

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Redactor takes what is secret out of the errors of libraries that say too
// much. The zero Redactor knows no secrets. It may be used concurrently.
type Redactor struct {
	secrets []string // in the forms that messages may have them in, longest first
}

const (
	// leastSecret is the length in bytes from which a secret is searched for:
	// shorter ones would turn words of messages into stars.
	leastSecret = 4
	// maxMessage is the length in bytes up to which a message is fit for a
	// condition.
	maxMessage = 600
)

// NewRedactor knows the secrets as they stand and as they stand in URLs. Those of
// fewer than four bytes are left out.
func NewRedactor(secrets ...string) Redactor {
	var r Redactor
	for _, secret := range secrets {
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret), url.UserPassword("", secret).String()[1:]}
		if plain, err := url.QueryUnescape(secret); err == nil {
			forms = append(forms, plain)
		}
		for _, form := range forms {
			if len(form) >= leastSecret && !slices.Contains(r.secrets, form) {
				r.secrets = append(r.secrets, form)
			}
		}
	}
	// Lest the start of one, taken away, leave the end of another.
	slices.SortStableFunc(r.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return r
}

// RedactorOf knows the values of a Secret, without space around them, but for
// those of the keys that are public.
func RedactorOf(secret map[string][]byte, public ...string) Redactor {
	var secrets []string
	for key, value := range secret {
		if !slices.Contains(public, key) {
			secrets = append(secrets, strings.TrimSpace(string(value)))
		}
	}
	return NewRedactor(secrets...)
}

var (
	urlUserinfo = regexp.MustCompile(`([a-z0-9]+://)[^\s"'/@]*@`)
	urlQuery    = regexp.MustCompile(`([a-z0-9]+://[^\s"'?]*)\?[^\s"']*`)
	rule        = regexp.MustCompile(`-{8,}`) // some clients draw lines
)

// Text returns a message on one line, of bounded length, without secrets and
// without what URLs have before the host and after the path.
func (r Redactor) Text(message string) string {
	for _, secret := range r.secrets {
		message = strings.ReplaceAll(message, secret, "***")
	}
	message = urlUserinfo.ReplaceAllString(message, "$1***@")
	message = urlQuery.ReplaceAllString(message, "$1?***")
	message = rule.ReplaceAllString(message, "")
	message = strings.Join(strings.Fields(message), " ")
	if len(message) <= maxMessage {
		return message
	}
	cut := maxMessage
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "..."
}

// Hide returns an error that says message, without secrets, in place of err. It
// does not unwrap, lest somebody print what is inside, but is still permanent if
// err is, and is what callers ask for: context.Canceled,
// context.DeadlineExceeded, ErrFenced, ErrAbsent, and those of asked that err is.
func (r Redactor) Hide(message string, err error, asked ...error) error {
	if err == nil {
		return nil
	}
	hidden := hiddenError{message: r.Text(message)}
	for _, target := range append(asked, context.Canceled, context.DeadlineExceeded, ErrFenced, ErrAbsent) {
		if errors.Is(err, target) {
			hidden.is = append(hidden.is, target)
		}
	}
	if IsPermanent(err) {
		return Permanent(hidden)
	}
	return hidden
}

type hiddenError struct {
	message string
	is      []error
}

func (e hiddenError) Error() string { return e.message }

func (e hiddenError) Is(target error) bool { return slices.Contains(e.is, target) }
