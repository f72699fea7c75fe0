package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// TLSConfig returns how connections are encrypted, as a Secret says: ca.crt is who
// is trusted, if not those that the system trusts, tls.crt and tls.key are a
// client's certificate. It returns nil if the Secret has none of these and they are
// not always encrypted. Its errors name the key and the mend, and hold no secrets.
func TLSConfig(secret map[string][]byte, always bool) (*tls.Config, error) {
	ca, certificate, key := secret["ca.crt"], secret["tls.crt"], secret["tls.key"]
	if !always && len(ca) == 0 && len(certificate) == 0 && len(key) == 0 {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("spec.secretRef: ca.crt must have certificates in PEM")
		}
	}
	if len(certificate) > 0 || len(key) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, errors.New("spec.secretRef: tls.crt and tls.key must be a certificate and its key in PEM")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
