package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// TestLoad floods a server with lists, and holds watches that nothing happens to.
func TestLoad(t *testing.T) {
	s := newServed(t)
	const rows = 5000
	s.add(inventory.Ref{Namespace: "team-a", Name: "apps"}, rows)
	config := rest.CopyConfig(s.cp.Config())
	config.Host, config.CAData, config.Insecure = s.host, nil, true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	s.cp.MustKubectl(t, "create", "clusterrole", "rows", "--verb=get,list,watch", "--resource=inventoryrows.inventory.kollect.io,accessiblerows.inventory.kollect.io,configmaps")
	s.cp.MustKubectl(t, "create", "clusterrolebinding", "rows", "--clusterrole=rows", "--user=many", "--user=lister")
	t.Run("idle watches", func(t *testing.T) { s.idleWatches(t, client) })
	t.Run("groups", func(t *testing.T) { s.manyGroups(t, config) })
	t.Run("flood", s.flood)
}

const groupPath = "/apis/inventory.kollect.io/v1alpha1"

// fetch reads an answer as far as it goes, and returns its status.
func fetch(ctx context.Context, client *http.Client, url, accept string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// clientOf returns a client of an ordinary user, to whom priority and fairness
// apply.
func (s *served) clientOf(t *testing.T, user string) *http.Client {
	t.Helper()
	config, err := s.cp.UserConfig(user)
	if err != nil {
		t.Fatal(err)
	}
	config.Host, config.CAData, config.Insecure = s.host, nil, true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// flood lists in each form while it asks for what has to be answered at all
// times.
func (s *served) flood(t *testing.T) {
	client, other := s.clientOf(t, "lister"), s.clientOf(t, "other")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lister sync.WaitGroup
	var mu sync.Mutex
	var lists []time.Duration
	codes := map[int]int{}
	for i := range 12 {
		accept := []string{"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "application/yaml"}[i%3]
		lister.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				code, err := fetch(ctx, client, s.host+groupPath+"/inventoryrows", accept)
				if errors.Is(err, context.Canceled) {
					return
				}
				mu.Lock()
				lists = append(lists, time.Since(began))
				codes[code]++
				mu.Unlock()
			}
		})
	}
	var vital []time.Duration
	answered := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lists) > 0
	}
	end := time.Now().Add(2 * time.Minute)
	for round := 0; round < 6 || !answered() && time.Now().Before(end); round++ { // the first lists may take long
		for _, path := range []string{"/readyz", "/livez", "/apis", groupPath, "/openapi/v3"} {
			began := time.Now()
			if code, err := fetch(t.Context(), other, s.host+path, "application/json"); err != nil || code != http.StatusOK {
				t.Errorf("%s: got %d, %v", path, code, err)
			}
			vital = append(vital, time.Since(began))
		}
	}
	cancel()
	lister.Wait()
	for code := range codes {
		// It may have to come again, or take longer than a request may.
		if code != http.StatusOK && code != http.StatusTooManyRequests && code != http.StatusGatewayTimeout {
			t.Errorf("a list: got %d", code)
		}
	}
	if len(lists) == 0 {
		t.Fatal("no list was answered")
	}
	slices.Sort(vital)
	slices.Sort(lists)
	t.Logf("%d lists: %v; median of lists %v, of readiness and discovery %v, worst %v", len(lists), codes, lists[len(lists)/2], vital[len(vital)/2], vital[len(vital)-1])
}

// manyGroups asks as a caller with 10,000 groups, whom kube-apiserver answers too.
func (s *served) manyGroups(t *testing.T, config *rest.Config) {
	many := rest.CopyConfig(config)
	many.Impersonate.UserName = "many"
	for i := range 10_000 {
		many.Impersonate.Groups = append(many.Impersonate.Groups, fmt.Sprintf("team-%d", i))
	}
	client, err := rest.HTTPClientFor(many)
	if err != nil {
		t.Fatal(err)
	}
	own, kubernetes := s.host+groupPath, s.cp.Config().Host
	for _, url := range []string{
		kubernetes + "/api/v1/namespaces/team-a/configmaps?limit=1",
		own + "/namespaces/team-a/inventoryrows?limit=1", own + "/accessiblerows?limit=1",
		kubernetes + groupPath + "/namespaces/team-a/inventoryrows?limit=1", kubernetes + groupPath + "/accessiblerows?limit=1",
	} {
		// Whoever binds a right waits until authorizers have seen it.
		if err := poll(t, func() error {
			if code, err := fetch(t.Context(), client, url, "application/json"); err != nil || code != http.StatusOK {
				return fmt.Errorf("%s: got %d, %w", url, code, err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// idleWatches holds a thousand watches, and takes their goroutines and memory,
// those of the client included.
func (s *served) idleWatches(t *testing.T, client *http.Client) {
	const watches = 1000
	memory := func() (int, uint64) {
		runtime.GC()
		runtime.GC() // what is pooled goes with the second
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return runtime.NumGoroutine(), stats.HeapAlloc + stats.StackInuse
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if code, err := fetch(t.Context(), client, s.host+"/readyz", ""); err != nil || code != http.StatusOK { // opens the connection
		t.Errorf("readyz: got %d, %v", code, err)
	}
	goroutines, bytes := memory()
	bodies := make([]io.Closer, 0, watches)
	for range watches {
		request, err := http.NewRequestWithContext(ctx, "GET", s.host+groupPath+"/inventoryrows?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("got %v, %v", response, err)
		}
		bodies = append(bodies, response.Body)
	}
	moreGoroutines, moreBytes := memory()
	perWatch := (int64(moreBytes) - int64(bytes)) / watches
	t.Logf("a watch takes %.1f goroutines and %d bytes, with its client", float64(moreGoroutines-goroutines)/watches, perWatch)
	if n := (moreGoroutines - goroutines) / watches; n > 10 {
		t.Errorf("a watch takes %d goroutines", n)
	}
	if code, err := fetch(t.Context(), client, s.host+"/readyz", ""); err != nil || code != http.StatusOK {
		t.Errorf("readyz: got %d, %v", code, err)
	}
	cancel()
	for _, body := range bodies {
		body.Close()
	}
	if err := poll(t, func() error {
		if n := runtime.NumGoroutine(); n > goroutines+100 {
			return errors.New("watches that have ended leave goroutines")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
