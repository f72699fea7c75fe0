package httpsink

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/test/services/pki"
)

func TestALargeBodyIsTheSameEachTime(t *testing.T) {
	b, err := newBody(t.Context(), format.NDJSON, sink.Export{Snapshot: sample(3000), Generation: 1, Time: now}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if b.kept != nil {
		t.Fatalf("a body of %d bytes is kept: it must be too large for that", b.size)
	}
	var sent [2][]byte
	for i := range sent {
		r := b.reader()
		if sent[i], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(sent[i])
		if int64(len(sent[i])) != b.size || contentDigest(sum[:]) != b.digest {
			t.Errorf("%d bytes with %s were sent, and %d with %s announced", len(sent[i]), contentDigest(sum[:]), b.size, b.digest)
		}
	}
	if !bytes.Equal(sent[0], sent[1]) {
		t.Error("the bytes differ")
	}
	b.reader() // is not read: close must end it
}

// A receiver that refuses before it has read the body is heard, and nothing of the
// body goes on being made.
func TestARefusalBeforeTheBodyIsRead(t *testing.T) {
	store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusConflict)
	})
	store.keep = 0
	if _, err := write(t, store, sample(3000), 1); err == nil {
		t.Error("no error")
	}
}

// A client's certificate, a token and a password reach the receiver.
func TestCredentialsReachTheReceiver(t *testing.T) {
	var authorization string
	var certificates int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		authorization, certificates = q.Header.Get("Authorization"), len(q.TLS.PeerCertificates)
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are to fail
	server.StartTLS()
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	authority, err := pki.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := authority.Issue("sink")
	if err != nil {
		t.Fatal(err)
	}
	for want, secret := range map[string]map[string][]byte{
		"Bearer t0ken":   {"token": []byte("t0ken\n")},
		"Basic dTpwOnc=": {"username": []byte("u"), "password": []byte("p:w\n")},
		"":               {},
	} {
		secret["ca.crt"], secret["tls.crt"], secret["tls.key"] = ca, certificate, key
		if _, err := write(t, openAt(t, server.URL, secret), sample(1), 1); err != nil {
			t.Fatal(err)
		}
		if authorization != want || certificates != 1 {
			t.Errorf("authorization %q with %d certificates, want %q with one", authorization, certificates, want)
		}
	}
	_, err = write(t, openAt(t, server.URL, nil), sample(1), 1)
	if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), "ca.crt") {
		t.Errorf("without ca.crt the error is %v, want one that names it", err)
	}
}
