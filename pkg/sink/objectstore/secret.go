package objectstore

import (
	"errors"
	"fmt"
	"strings"

	"kollect.io/kollect/pkg/sink"
)

// lookUp returns the value of the first of the keys that the Secret has.
func lookUp(secret map[string][]byte, keys ...string) string {
	for _, key := range keys {
		if value := strings.TrimSpace(string(secret[key])); value != "" {
			return value
		}
	}
	return ""
}

// errSecret says which keys the Secret should have.
func errSecret(needs string) error {
	return sink.Permanent(fmt.Errorf("spec.secretRef: the Secret must have %s", needs))
}

// ambient reports whether the server's own identity may be used in place of a
// Secret. It never goes to a server that the URL names.
func ambient(p *place, options Options, needs string) error {
	for _, name := range []string{"endpoint", "domain", "localemu", "protocol"} {
		if _, ok := p.params[name]; ok {
			return sink.Permanent(fmt.Errorf("spec.secretRef: must name a Secret with %s, since the URL has the parameter %s", needs, name))
		}
	}
	if !options.AmbientCredentials {
		return sink.Permanent(errors.New("spec.secretRef: must name a Secret with " + needs))
	}
	return nil
}
