package git

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git/remote"
)

// public are the keys of the Secret that are no secrets.
var public = []string{"username", "ca.crt", "tls.crt", "known_hosts"}

func value(secret map[string][]byte, key string) string {
	return strings.TrimSpace(string(secret[key]))
}

// overHTTPS returns how to reach the repository, with who the sink is by the Secret.
func overHTTPS(repository *url.URL, secret map[string][]byte, dial remote.Dial) (remote.Transport, error) {
	trust, err := sink.TLSConfig(secret, true)
	if err != nil {
		return nil, err
	}
	auth := remote.HTTPAuth{User: value(secret, "username"), Password: value(secret, "password"), Bearer: value(secret, "bearerToken")}
	if token := value(secret, "token"); token != "" && auth.Password == "" {
		auth.Password = token
		if auth.User == "" {
			auth.User = "x-access-token" // where a token alone counts, any name will do
		}
	}
	if secret != nil && auth == (remote.HTTPAuth{}) && len(secret["tls.crt"]) == 0 && len(secret["ca.crt"]) == 0 {
		return nil, errors.New("spec.secretRef: the Secret must have token, username and password, or bearerToken, or tls.crt and tls.key")
	}
	return remote.HTTPS(repository, auth, trust, dial), nil
}

// overSSH is the same for SSH. A server whose key is not known is not spoken to.
func overSSH(repository *url.URL, secret map[string][]byte, dial remote.Dial) (remote.Transport, error) {
	user := repository.User.Username()
	if user == "" {
		user = "git"
	}
	config := &ssh.ClientConfig{User: user}
	if key := secret["ssh-privatekey"]; len(key) > 0 {
		signer, err := parseKey(key, []byte(value(secret, "ssh-passphrase")))
		if err != nil {
			return nil, errors.New("spec.secretRef: ssh-privatekey must be a private key of OpenSSH, and ssh-passphrase its passphrase if it has one")
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if password := value(secret, "password"); password != "" {
		config.Auth = append(config.Auth, ssh.Password(password))
	}
	if len(config.Auth) == 0 {
		return nil, errors.New("spec.secretRef: for an ssh:// URL a Secret must have ssh-privatekey, or password")
	}
	if err := trustHosts(config, repository, secret["known_hosts"]); err != nil {
		return nil, err
	}
	return remote.SSH(repository, config, dial), nil
}

// trustHosts has the connection fail unless the server has a key that is known.
func trustHosts(config *ssh.ClientConfig, repository *url.URL, known []byte) error {
	if len(strings.TrimSpace(string(known))) == 0 {
		return errors.New("spec.secretRef: for an ssh:// URL the Secret must have known_hosts, as ssh-keyscan prints it: compare it with what the server's operator says")
	}
	check, err := hostKeys(known)
	if err != nil {
		return err
	}
	port := repository.Port()
	if port == "" {
		port = "22"
	}
	address := net.JoinHostPort(repository.Hostname(), port)
	// Of the keys that a server has it shows one: it must be asked for one that is
	// known.
	var unknown *knownhosts.KeyError
	if errors.As(check(address, &net.TCPAddr{}, noKey{}), &unknown) {
		for _, key := range unknown.Want {
			config.HostKeyAlgorithms = append(config.HostKeyAlgorithms, algorithms(key.Key.Type())...)
		}
	}
	if len(config.HostKeyAlgorithms) == 0 && !strings.Contains(string(known), "@cert-authority") {
		return fmt.Errorf("spec.secretRef: known_hosts has no key of %s: add the line that ssh-keyscan prints", repository.Host)
	}
	config.HostKeyCallback = func(_ string, at net.Addr, key ssh.PublicKey) error {
		if err := check(address, at, key); err != nil {
			return fmt.Errorf("%w: it shows a %s key that is not in known_hosts of the Secret: %s", remote.ErrUntrusted, key.Type(), ssh.FingerprintSHA256(key))
		}
		return nil
	}
	return nil
}

// algorithms are those by which a key of that type can sign.
func algorithms(keyType string) []string {
	if keyType == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

// noKey is a key that nobody has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("none") }

// errOwnDisk says that it is not the Secret's fault, and may be gone the next time.
var errOwnDisk = errors.New("keep known_hosts in a temporary file of the server")

// hostKeys reads known hosts. What reads them takes them from files alone.
func hostKeys(known []byte) (ssh.HostKeyCallback, error) {
	file, err := os.CreateTemp("", "kollect-known-hosts-*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	defer os.Remove(file.Name())
	_, err = file.Write(slices.Concat(known, []byte("\n")))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	check, err := knownhosts.New(file.Name())
	if err != nil {
		return nil, errors.New("spec.secretRef: known_hosts must have lines as OpenSSH's file of that name has")
	}
	return check, nil
}
