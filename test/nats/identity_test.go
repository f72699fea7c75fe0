package nats_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// identity is a key pair of an operator, an account or a user.
type identity struct {
	nkeys.KeyPair
	public string
}

func newIdentity(t *testing.T, create func() (nkeys.KeyPair, error)) identity {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return identity{pair, public}
}

// credentialsOf returns what nsc makes for a user: a JWT that the account has signed,
// and the user's seed.
func credentialsOf(t *testing.T, account identity) []byte {
	t.Helper()
	user := newIdentity(t, nkeys.CreateUser)
	token, err := jwt.NewUserClaims(user.public).Encode(account)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	file, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A server of an operator knows accounts, and users by what these have signed.
func TestCredentialsFile(t *testing.T) {
	operator, account, system := newIdentity(t, nkeys.CreateOperator), newIdentity(t, nkeys.CreateAccount), newIdentity(t, nkeys.CreateAccount)
	accounts := &server.MemAccResolver{}
	for _, a := range []identity{account, system} {
		claims := jwt.NewAccountClaims(a.public)
		if a == account {
			claims.Limits.DiskStorage, claims.Limits.MemoryStorage = jwt.NoLimit, jwt.NoLimit
		}
		token, err := claims.Encode(operator)
		if err != nil {
			t.Fatal(err)
		}
		if err := accounts.Store(a.public, token); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t.TempDir())
	o.TrustedKeys, o.AccountResolver, o.SystemAccount = []string{operator.public}, accounts, system.public
	spec := kollectv1alpha1.NATSSink{URL: start(t, o).ClientURL(), Stream: streamName}
	e, err := nats.Open(t.Context(), spec, map[string][]byte{"creds": credentialsOf(t, account)}, nats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	mustExport(t, e, sinktest.NewSample(ref).Snapshot(), 1)
	stranger := credentialsOf(t, newIdentity(t, nkeys.CreateAccount))
	for _, wrong := range []map[string][]byte{nil, {"creds": stranger}} {
		_, err := nats.Open(t.Context(), spec, wrong, nats.Options{})
		mustRefuse(t, err, "Secret", "127.0.0.1")
	}
}

// A server that wants certificates of its clients takes those of its authority alone.
func TestClientCertificate(t *testing.T) {
	certificate, ca := selfSigned(t)
	trusted, authority := selfSigned(t)
	stranger, _ := selfSigned(t)
	o := options(t.TempDir())
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority)
	o.TLSConfig = &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}
	spec := kollectv1alpha1.NATSSink{URL: "tls://" + start(t, o).Addr().String(), Stream: streamName}
	secret := func(client tls.Certificate) map[string][]byte {
		key, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{
			"ca.crt":  ca,
			"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: client.Certificate[0]}),
			"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		}
	}
	e, err := nats.Open(t.Context(), spec, secret(trusted), nats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	mustExport(t, e, sinktest.NewSample(ref).Snapshot(), 1)
	for _, wrong := range []map[string][]byte{{"ca.crt": ca}, secret(stranger)} {
		e, err := nats.Open(t.Context(), spec, wrong, nats.Options{})
		if err == nil {
			e.Close()
			t.Error("a client without a certificate that is trusted is let in")
		}
	}
}
