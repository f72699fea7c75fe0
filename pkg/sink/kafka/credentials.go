package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// credentials returns who the sink is; nil: nobody, or who its certificate says.
func credentials(mechanism string, secret map[string][]byte) (sasl.Mechanism, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret[key])) }
	user, password, token := value("username"), value("password"), value("token")
	switch mechanism {
	case "":
		switch {
		case user != "" || token != "":
			return nil, errors.New("spec.kafka.saslMechanism: must be set, since the Secret says who to log in as: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
		case secret != nil && value("ca.crt") == "" && value("tls.crt") == "":
			return nil, errors.New("spec.secretRef: the Secret must have username and password, token, ca.crt, or tls.crt and tls.key")
		}
		return nil, nil
	case "OAUTHBEARER":
		if token == "" {
			return nil, errors.New("spec.secretRef: for saslMechanism OAUTHBEARER a Secret must have the key token")
		}
		return oauth.Auth{Token: token}.AsMechanism(), nil
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		if user == "" || password == "" {
			return nil, fmt.Errorf("spec.secretRef: for saslMechanism %s a Secret must have the keys username and password", mechanism)
		}
	}
	switch mechanism {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("spec.kafka.saslMechanism: %q must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER", mechanism)
}
