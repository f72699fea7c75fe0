package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/test/controlplane"
)

// world is a control plane with a server, and what is collected of it.
type world struct {
	*testing.T
	cp     *controlplane.ControlPlane
	server *controlplane.Kollect
	core   kubernetes.Interface
	any    dynamic.Interface
	ways   [2]way
	races  string
	again  atomic.Int64 // how often the server said that clients are to come again
}

// way leads to the server as an administrator who acts as others.
type way struct {
	name string
	host string
	http *http.Client
}

// deadline suits a loaded machine; what works takes a second or two.
const deadline = time.Minute

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, races: t.TempDir()}
	t.Setenv("GORACE", controlplane.RaceLog(w.races)) // of the server
	binary, err := controlplane.KollectBinary(t.Context(), t.Output(), true)
	w.must(err)
	root, err := controlplane.Root()
	w.must(err)
	t.Cleanup(w.noRaces) // after the server has ended
	w.cp = controlplane.ForTest(t, controlplane.Options{})
	w.core, err = kubernetes.NewForConfig(w.cp.Config())
	w.must(err)
	w.any, err = dynamic.NewForConfig(w.cp.Config())
	w.must(err)
	w.must(controlplane.ApplyCRDs(t.Context(), w.cp.Config(), filepath.Join(root, "artifacts", "crds")))
	w.must(controlplane.ApplyCRDs(t.Context(), w.cp.Config(), "testdata"))
	w.makeSources()
	w.makeRoles()
	w.server, err = w.cp.StartKollect(t.Context(), controlplane.KollectOptions{Binary: binary, Args: []string{"--leader-elect=false"}})
	w.must(err)
	t.Cleanup(w.noPanics) // before its log is removed
	w.must(w.server.Register(t.Context()))
	w.makeTargets()
	w.ways = [2]way{w.way("aggregated", w.cp.Config()), w.way("direct", w.server.Config())}
	return w
}

func (w *world) way(name string, config *rest.Config) way {
	client, err := rest.HTTPClientFor(config)
	w.must(err)
	return way{name, config.Host, client}
}

func (w *world) noRaces() {
	if err := controlplane.Races(w.races); err != nil {
		w.Error(err)
	}
}

func (w *world) noPanics() {
	log, err := os.ReadFile(w.server.LogPath())
	if err != nil || strings.Contains(string(log), "panic") {
		w.Errorf("the server panicked: %v\n%s", err, log)
	}
	w.Logf("the server had no answer %d times, and could not ask %d times about rights", w.again.Load(), bytes.Count(log, []byte("Could not ask what a caller may list")))
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// until waits until check has no error.
func (w *world) until(check func() error) {
	w.Helper()
	controlplane.Until(w, deadline, check)
}

// answer is what the server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// read asks as a caller, or as the administrator if there is none, and reads all
// of the answer.
func (w *world) read(ctx context.Context, by way, as *caller, path, accept string) (*answer, error) {
	response, err := w.open(ctx, by, as, path, accept)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return &answer{response.StatusCode, response.Header, body}, nil
}

// open asks again for as long as the server wants clients to come again, as those
// of Kubernetes do.
func (w *world) open(ctx context.Context, by way, as *caller, path, accept string) (*http.Response, error) {
	tries, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	for {
		response, err := w.once(ctx, by, as, path, accept)
		if err != nil || response.StatusCode != http.StatusTooManyRequests && response.StatusCode < 500 {
			return response, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.Header.Get("Retry-After") == "" || w.pause(tries) != nil {
			return nil, errors.Join(err, fmt.Errorf("%s: %s: %s", path, response.Status, body))
		}
	}
}

// pause waits as long as the server wants clients to.
func (w *world) pause(ctx context.Context) error {
	w.again.Add(1)
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) once(ctx context.Context, by way, as *caller, path, accept string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, by.host+path, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	if as != nil {
		request.Header.Set("Impersonate-User", as.user)
		request.Header["Impersonate-Group"] = as.groups
		if as.uid != "" {
			request.Header.Set("Impersonate-Uid", as.uid)
			request.Header.Set("Impersonate-Extra-Scopes", "some")
		}
	}
	return by.http.Do(request)
}
