package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRedactorText(t *testing.T) {
	r := NewRedactor("s3c/r3t p+w", "abc", "", "long-secret", "long-secret-of-another", "--------key")
	for name, c := range map[string]struct{ message, want string }{
		"as it stands":              {"password s3c/r3t p+w is wrong", "password *** is wrong"},
		"in a query":                {"get a?p=s3c%2Fr3t+p%2Bw", "get a?p=***"},
		"in a path":                 {"get /s3c%2Fr3t%20p+w/x", "get /***/x"},
		"before a host":             {"dial x:s3c%2Fr3t%20p+w@host", "dial x:***@host"},
		"one that starts another":   {"no long-secret-of-another", "no ***"},
		"too short to be told":      {"abc", "abc"},
		"with what looks like rule": {"no --------key here", "no *** here"},
		"user of a URL":             {`get "https://user:unknown@host/path"`, `get "https://***@host/path"`},
		"query of a URL":            {`get "https://host/path?sig=unknown": refused`, `get "https://host/path?***": refused`},
		"several lines":             {"a\n\t------------\nb\r\n", "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.Text(c.message); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestRedactorTextIsBounded(t *testing.T) {
	for _, letter := range []string{"x", "é", "界", "😀"} {
		got := Redactor{}.Text("a" + strings.Repeat(letter, 1000))
		if len(got) > maxMessage+len("...") || len(got) < maxMessage-utf8.UTFMax || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid %t: %s", len(got), utf8.ValidString(got), got)
		}
	}
}

func TestRedactorHide(t *testing.T) {
	errAsked, errOther := errors.New("asked for"), errors.New("other")
	r := NewRedactor("s3cret")
	inside := fmt.Errorf("s3cret: %w, %w, %w, %w", context.Canceled, ErrFenced, errAsked, errOther)
	hidden := r.Hide(inside.Error(), inside, errAsked)
	for target, want := range map[error]bool{
		context.Canceled: true, ErrFenced: true, errAsked: true, context.DeadlineExceeded: false, errOther: false,
	} {
		if got := errors.Is(hidden, target); got != want {
			t.Errorf("is %q: %t", target, got)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", hidden, hidden, hidden), "s3cret") {
		t.Errorf("it shows the secret: %#v", hidden)
	}
	if IsPermanent(hidden) || !IsPermanent(r.Hide("", Permanent(inside))) {
		t.Error("it is not as permanent as what it hides")
	}
	if r.Hide("", nil) != nil {
		t.Error("no error is an error")
	}
}
