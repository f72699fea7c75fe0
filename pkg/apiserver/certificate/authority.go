package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	authorityLifetime = 5 * 365 * 24 * time.Hour
	servingLifetime   = 90 * 24 * time.Hour
	clockSkew         = time.Hour
)

// pair is a certificate with its key.
type pair struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// dueAt is when two thirds of the certificate's life are over.
func (p pair) dueAt() time.Time {
	c := p.certificate
	return c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3)
}

func newAuthority(now time.Time) (pair, error) {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: fmt.Sprintf("kollect-apiserver@%d", now.Unix())},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, nil)
}

// serving returns a certificate for the names, signed by the authority.
func (p pair) serving(names []string, now time.Time) (pair, error) {
	return issue(&x509.Certificate{
		Subject:               pkix.Name{CommonName: names[0]},
		DNSNames:              names,
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              earlier(now.Add(servingLifetime), p.certificate.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}, &p)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// issue makes a certificate by template, signed by an authority or, without
// one, by itself.
func issue(template *x509.Certificate, by *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("generate key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, fmt.Errorf("generate serial number: %w", err)
	}
	if by == nil {
		by = &pair{certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return pair{}, fmt.Errorf("sign certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return pair{}, fmt.Errorf("parse certificate: %w", err)
	}
	return pair{certificate, key}, nil
}

func (p pair) certificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.Raw})
}

func (p pair) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// parsePair reads the first certificate and its key. Errors don't show them.
func parsePair(certificatePEM, keyPEM []byte) (pair, error) {
	certificates, err := parseBundle(certificatePEM)
	if err != nil {
		return pair{}, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return pair{}, errors.New("the key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return pair{}, errors.New("the key is not PKCS #8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return pair{}, errors.New("the key can't sign")
	}
	if public, ok := signer.Public().(*ecdsa.PublicKey); !ok || !public.Equal(certificates[0].PublicKey) {
		return pair{}, errors.New("the key is not the certificate's")
	}
	return pair{certificates[0], signer}, nil
}

// parseBundle reads one certificate or more.
func parseBundle(bundle []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bundle; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return certificates, nil
}

// contains reports whether the bundle has the certificate.
func contains(bundle []byte, certificate *x509.Certificate) bool {
	certificates, err := parseBundle(bundle)
	if err != nil {
		return false
	}
	for _, c := range certificates {
		if bytes.Equal(c.Raw, certificate.Raw) {
			return true
		}
	}
	return false
}
