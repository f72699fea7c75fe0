package controlplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRegisteredServerAnswersThroughKubeAPIServer(t *testing.T) {
	cp := ForTest(t, Options{})
	ask := func(ctx context.Context) (string, error) {
		out, err := cp.Kubectl(ctx, "get", "--raw", "/apis/"+KollectGroup+"/"+KollectVersion)
		return string(out), err
	}
	register := func(port int) {
		t.Helper()
		if err := RegisterAPIService(t.Context(), cp.Config(), KollectGroup, KollectVersion, port, cp.ca.certPEM); err != nil {
			t.Fatal(err)
		}
	}

	register(serveDiscovery(t, cp.ca, "first"))
	got, err := ask(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := "first-asked-by-kollect-admin"; !strings.Contains(got, want) {
		t.Errorf("answer: got %s, want %s in it", got, want)
	}

	register(serveDiscovery(t, cp.ca, "second"))
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := poll(ctx, func(ctx context.Context) error {
		got, err := ask(ctx)
		if err == nil && !strings.Contains(got, "second-asked-by-kollect-admin") {
			err = fmt.Errorf("got %s", got)
		}
		return err
	}); err != nil {
		t.Errorf("after another server was registered: %v", err)
	}
}

func TestServerOfAnotherAuthorityIsNotAvailable(t *testing.T) {
	cp := ForTest(t, Options{})
	other, err := newAuthority(t.TempDir(), "other")
	if err != nil {
		t.Fatal(err)
	}
	port := serveDiscovery(t, other, "impostor")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- RegisterAPIService(ctx, cp.Config(), KollectGroup, KollectVersion, port, cp.ca.certPEM)
	}()
	const reason = `{.status.conditions[?(@.type=="Available")].message}`
	wait, stop := context.WithTimeout(t.Context(), waitLimit)
	defer stop()
	if err := poll(wait, func(ctx context.Context) error {
		got, err := cp.Kubectl(ctx, "get", "apiservice", KollectVersion+"."+KollectGroup, "--output=jsonpath="+reason)
		if err == nil && !strings.Contains(string(got), "certificate signed by unknown authority") {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}); err != nil {
		t.Errorf("condition of the APIService: %v", err)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("register: got no error")
	}
}

// serveDiscovery serves the group's discovery on a loopback port, with a
// certificate of the authority; the answer names the server, and the user that
// the front proxy vouches for.
func serveDiscovery(t *testing.T, ca *authority, name string) (port int) {
	t.Helper()
	pair, err := ca.serving(ServingName)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := "nobody"
		if certs := r.TLS.PeerCertificates; len(certs) == 1 && certs[0].Subject.CommonName == frontProxyUser {
			user = r.Header.Get("X-Remote-User")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"%s/%s","resources":[`+
			`{"name":"things","kind":"Thing","namespaced":true,"verbs":["list"],"shortNames":["%s-asked-by-%s"]}]}`,
			KollectGroup, KollectVersion, name, user)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().(*net.TCPAddr).Port
}
