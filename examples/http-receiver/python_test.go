package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	httpsink "kollect.io/kollect/pkg/sink/http"
	"kollect.io/kollect/pkg/sink/sinktest"
	"kollect.io/kollect/test/child"
)

// startPython starts receiver.py, and returns a way to it on which requests may be changed.
func startPython(t *testing.T) http.Handler {
	t.Helper()
	port, err := child.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	folder := t.TempDir()
	key := filepath.Join(folder, "hmac-key")
	if err := os.WriteFile(key, []byte(testKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := child.Start(exec.Command("python3", "receiver.py", address, key), filepath.Join(folder, "log"), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.End(syscall.SIGKILL)
		if log := child.Tail(p.Log, 40); t.Failed() || strings.Contains(log, "Traceback") {
			t.Errorf("receiver.py: %s", log)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.Await(ctx, func(context.Context) error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
}

func TestPythonRefuses(t *testing.T) {
	r := startPython(t)
	for name, change := range changes() {
		if name == "another method" { // which it answers with 501
			continue
		}
		t.Run(name, func(t *testing.T) { refuses(t, r, name, change) })
	}
}

// An older generation is refused, and so is another snapshot of the same.
func TestPythonOlder(t *testing.T) {
	server := httptest.NewServer(startPython(t))
	defer server.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for i, step := range []struct {
		generation int64
		image      string
		refused    bool
	}{{3, "nginx:1.27", false}, {3, "nginx:1.27", false}, {3, "nginx:1.28", true}, {2, "nginx:1.27", true}, {4, "nginx:1.28", false}} {
		s.Set("web", step.image)
		store, err := httpsink.Open(kollectv1alpha1.HTTPSink{URL: server.URL}, map[string][]byte{"hmac-key": []byte(testKey)}, httpsink.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: step.generation, Time: time.Unix(1_795_000_000, 0)})
		store.Close()
		if errors.Is(err, sink.ErrFenced) != step.refused || !step.refused && err != nil {
			t.Errorf("step %d: %v, refused should be %t", i, err, step.refused)
		}
	}
}
