package controlplane

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"

	"k8s.io/client-go/kubernetes"
)

// serverVariable has the test binary be a server that takes the flags of
// kollect-apiserver, and serves its discovery and readiness.
const serverVariable = "KOLLECT_TEST_SERVER"

func serve() error {
	values := map[string]*string{}
	for _, name := range []string{
		"kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig", "bind-address", "secure-port",
		"tls-cert-file", "tls-private-key-file", "cluster-name", "sink-file-root", "leader-elect",
	} {
		values[name] = flag.String(name, "", "")
	}
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/apis/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"%s/%s","resources":[]}`, KollectGroup, KollectVersion)
	})
	address := *values["bind-address"] + ":" + *values["secure-port"]
	return http.ListenAndServeTLS(address, *values["tls-cert-file"], *values["tls-private-key-file"], mux)
}

func TestKollectRestartsAfterACrash(t *testing.T) {
	cp := ForTest(t, Options{})
	t.Setenv(serverVariable, "1")
	k, err := cp.StartKollect(t.Context(), KollectOptions{Binary: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	for resource, want := range map[string]string{"configmaps": "yes\n", "secrets": "no\n"} {
		out, err := cp.KubectlCommand(t.Context(), "auth", "can-i", "list", resource, "--all-namespaces", "--as="+kollectUser).Output()
		if string(out) != want {
			t.Errorf("may it list %s: got %q (%v), want %q", resource, out, err, want)
		}
	}
	host := k.Config().Host
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context) error {
		return kubernetes.NewForConfigOrDie(k.Config()).Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}
	if ask(t.Context()) == nil {
		t.Error("it answers after a crash")
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := k.Config().Host; got != host {
		t.Errorf("address after a crash: got %s, want %s", got, host)
	}
	if err := k.Register(t.Context()); err != nil {
		t.Errorf("register after a crash: %v", err)
	}
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
}
