package git

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"golang.org/x/crypto/ssh"
)

// signer returns how commits are signed, as the Secret says; nil: they are not.
func signer(secret map[string][]byte) (func([]byte) (string, error), error) {
	key, passphrase := secret["signing-key"], bytes.TrimSpace(secret["signing-passphrase"])
	switch {
	case len(bytes.TrimSpace(key)) == 0:
		return nil, nil
	case bytes.Contains(key, []byte("BEGIN PGP PRIVATE KEY BLOCK")):
		return pgpSigner(key, passphrase)
	}
	private, err := parseKey(key, passphrase)
	if err != nil {
		return nil, errors.New("spec.secretRef: signing-key must be a private key of OpenSSH, or of OpenPGP in ASCII armor, and signing-passphrase its passphrase if it has one")
	}
	return func(content []byte) (string, error) { return signSSH(private, content) }, nil
}

// parseKey reads a private key of SSH.
func parseKey(key, passphrase []byte) (ssh.Signer, error) {
	if len(passphrase) > 0 {
		return ssh.ParsePrivateKeyWithPassphrase(key, passphrase)
	}
	return ssh.ParsePrivateKey(key)
}

func pgpSigner(key, passphrase []byte) (func([]byte) (string, error), error) {
	wrong := errors.New("spec.secretRef: signing-key must be a private key of OpenPGP that can sign, and signing-passphrase its passphrase if it has one")
	entities, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil || len(entities) != 1 || entities[0].PrivateKey == nil {
		return nil, wrong
	}
	if err := entities[0].DecryptPrivateKeys(passphrase); err != nil {
		return nil, wrong
	}
	sign := func(content []byte) (string, error) {
		var signature strings.Builder
		err := openpgp.ArmoredDetachSign(&signature, entities[0], bytes.NewReader(content), &packet.Config{})
		return signature.String(), err
	}
	if _, err := sign(nil); err != nil {
		return nil, wrong
	}
	return sign, nil
}

// signSSH signs as ssh-keygen -Y sign -n git does: what is signed is described in
// PROTOCOL.sshsig of OpenSSH.
func signSSH(key ssh.Signer, content []byte) (string, error) {
	const magic, namespace, hash = "SSHSIG", "git", "sha512"
	digest := sha512.Sum512(content)
	signed := append([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{namespace, "", hash, digest[:]})...)
	var signature *ssh.Signature
	var err error
	if multi, ok := key.(ssh.AlgorithmSigner); ok && key.PublicKey().Type() == ssh.KeyAlgoRSA {
		signature, err = multi.SignWithAlgorithm(rand.Reader, signed, ssh.KeyAlgoRSASHA512)
	} else {
		signature, err = key.Sign(rand.Reader, signed)
	}
	if err != nil {
		return "", fmt.Errorf("sign with the SSH key: %w", err)
	}
	blob := append([]byte(magic), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, key.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(signature)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}
