package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Keys of the Secret. The authorities of ca.crt are the newest first; ca.key is
// the key of the newest.
const (
	authoritiesKey  = "ca.crt"
	authorityKeyKey = "ca.key"
)

// bundle is what the Secret holds.
type bundle struct {
	authority pair   // the newest
	older     []byte // PEM of authorities that may have signed what is in use
	serving   pair
}

// authorities returns the PEM of all authorities, the newest first.
func (b *bundle) authorities() []byte {
	return append(b.authority.certificatePEM(), b.older...)
}

func readBundle(data map[string][]byte) (*bundle, error) {
	authority, err := parsePair(data[authoritiesKey], data[authorityKeyKey])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", authoritiesKey, authorityKeyKey, err)
	}
	serving, err := parsePair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	older := bytes.TrimPrefix(data[authoritiesKey], authority.certificatePEM())
	return &bundle{authority: authority, older: older, serving: serving}, nil
}

func (b *bundle) data() (map[string][]byte, error) {
	authorityKey, err := b.authority.keyPEM()
	if err != nil {
		return nil, err
	}
	servingKey, err := b.serving.keyPEM()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		authoritiesKey:          b.authorities(),
		authorityKeyKey:         authorityKey,
		corev1.TLSCertKey:       b.serving.certificatePEM(),
		corev1.TLSPrivateKeyKey: servingKey,
	}, nil
}

// newBundle returns a bundle with an authority of its own. What is trusted and
// can be read stays trusted: other replicas serve by it until they look again.
func newBundle(names []string, trusted []byte, now time.Time) (*bundle, error) {
	authority, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	serving, err := authority.serving(names, now)
	if err != nil {
		return nil, err
	}
	return &bundle{authority: authority, older: stillTrusted(trusted, now), serving: serving}, nil
}

// rotated returns the bundle as it should be now, and whether that differs.
// trusted is the APIService's caBundle: a new authority is published first, and
// signs only once it is trusted.
func (b *bundle) rotated(names []string, trusted []byte, now time.Time) (*bundle, bool, error) {
	next := *b
	changed := false
	if now.After(b.authority.dueAt()) {
		authority, err := newAuthority(now)
		if err != nil {
			return nil, false, err
		}
		next.older = b.authority.certificatePEM() // at most two at a time
		next.authority = authority
		changed = true
	}
	signedByNewest := b.serving.certificate.CheckSignatureFrom(next.authority.certificate) == nil
	expired := now.After(b.serving.certificate.NotAfter)
	due := now.After(b.serving.dueAt()) || !signedByNewest || !covers(b.serving.certificate, names)
	if due && (expired || contains(trusted, next.authority.certificate)) {
		serving, err := next.authority.serving(names, now)
		if err != nil {
			return nil, false, err
		}
		next.serving = serving
		changed = true
	}
	return &next, changed, nil
}

func covers(certificate *x509.Certificate, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return certificate.VerifyHostname(name) != nil })
}

// maxOlder bounds how many authorities a new bundle takes over.
const maxOlder = 4

// stillTrusted returns the PEM of the first certificates of the caBundle, without
// what is none or has expired.
func stillTrusted(trusted []byte, now time.Time) []byte {
	var older []byte
	kept := 0
	for block, rest := pem.Decode(trusted); block != nil && kept < maxOlder; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil || now.After(c.NotAfter) {
			continue
		}
		older = append(older, pair{certificate: c}.certificatePEM()...)
		kept++
	}
	return older
}
