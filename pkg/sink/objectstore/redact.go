package objectstore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"kollect.io/kollect/pkg/sink"
)

// redactor takes what is secret out of errors of libraries that say too much.
type redactor struct{ secrets []string }

// leastSecret is the length from which a value is searched for: shorter ones,
// such as region names, would turn words of messages into stars.
const leastSecret = 6

// newRedactor knows the values of a Secret, and the parts of those that are
// connection strings or tokens, as they stand and as they stand in URLs.
func newRedactor(secret map[string][]byte) redactor {
	var r redactor
	for _, value := range secret {
		parts := strings.FieldsFunc(string(value), func(c rune) bool { return strings.ContainsRune("\r\n;&?\"", c) })
		for _, part := range append(parts, strings.TrimSpace(string(value))) {
			r.add(part)
			if _, v, ok := strings.Cut(part, "="); ok {
				r.add(v)
			}
		}
	}
	return r
}

func (r *redactor) add(secret string) {
	if len(secret) < leastSecret {
		return
	}
	r.secrets = append(r.secrets, secret, url.QueryEscape(secret), url.PathEscape(secret))
	if plain, err := url.QueryUnescape(secret); err == nil && len(plain) >= leastSecret {
		r.secrets = append(r.secrets, plain)
	}
}

var (
	urlQuery    = regexp.MustCompile(`([a-z0-9]+://[^\s"'?]*)\?[^\s"']*`)
	rule        = regexp.MustCompile(`-{8,}`) // azcore draws lines
	urlUserinfo = regexp.MustCompile(`([a-z0-9]+://)[^\s"'/@]*@`)
)

// maxMessage keeps an error fit for a condition.
const maxMessage = 600

// text returns the message on one line, of bounded length, without secrets and
// without what follows the path in URLs.
func (r redactor) text(message string) string {
	for _, s := range r.secrets {
		message = strings.ReplaceAll(message, s, "***")
	}
	message = urlUserinfo.ReplaceAllString(message, "$1***@")
	message = urlQuery.ReplaceAllString(message, "$1?***")
	message = rule.ReplaceAllString(message, "")
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		cut := maxMessage
		for !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut] + "..."
	}
	return message
}

// error returns err without secrets.
func (r redactor) error(err error) error {
	if err == nil {
		return nil
	}
	clean := error(redacted{r.text(err.Error()), err})
	if sink.IsPermanent(err) {
		return sink.Permanent(clean)
	}
	return clean
}

// wrap says which object err, without secrets, is about.
func (r redactor) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, key, r.error(err))
}

// redacted shows a clean message. It does not unwrap, lest somebody print what
// is inside, but still is what callers ask for.
type redacted struct {
	message string
	err     error
}

func (e redacted) Error() string { return e.message }

func (e redacted) Is(target error) bool {
	switch target {
	case context.Canceled, context.DeadlineExceeded, sink.ErrFenced, errChanged, errExists, errNotFound:
		return errors.Is(e.err, target)
	}
	return false
}
