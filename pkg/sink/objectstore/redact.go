package objectstore

import (
	"fmt"
	"strings"

	"kollect.io/kollect/pkg/sink"
)

// redactor takes what is secret out of errors of libraries that say too much.
type redactor struct{ sink.Redactor }

// leastSecret is the length from which a part of a Secret is searched for:
// shorter ones, such as region names, would turn words of messages into stars.
const leastSecret = 6

// newRedactor knows the values of a Secret, and the parts of those that are
// connection strings or tokens.
func newRedactor(secret map[string][]byte) redactor {
	var secrets []string
	add := func(secret string) {
		if len(secret) >= leastSecret {
			secrets = append(secrets, secret)
		}
	}
	for _, value := range secret {
		parts := strings.FieldsFunc(string(value), func(c rune) bool { return strings.ContainsRune("\r\n;&?\"", c) })
		for _, part := range append(parts, strings.TrimSpace(string(value))) {
			add(part)
			if _, v, ok := strings.Cut(part, "="); ok {
				add(v)
			}
		}
	}
	return redactor{sink.NewRedactor(secrets...)}
}

// error returns err without secrets. It still is what the store asks errors for.
func (r redactor) error(err error) error {
	if err == nil {
		return nil
	}
	return r.Hide(err.Error(), err, errChanged, errExists, errNotFound)
}

// wrap says which object err, without secrets, is about.
func (r redactor) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, key, r.error(err))
}
