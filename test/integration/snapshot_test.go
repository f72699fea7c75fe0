package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

const (
	group          = "/apis/inventory.kollect.io/v1alpha1/"
	snapshotOfApps = group + "namespaces/team-a/inventories/apps/snapshot"
)

// TestSnapshots downloads through the aggregator, and from the server itself.
func TestSnapshots(t *testing.T) {
	s := newServed(t)
	s.add(inventory.Ref{Namespace: "team-a", Name: "apps"}, 2000)
	s.add(inventory.Ref{Namespace: "team-a", Name: "other"}, 1)
	s.add(inventory.Ref{Name: "platform"}, 3)
	t.Run("kubectl", s.downloadsByKubectl)
	t.Run("http", s.downloads)
	t.Run("slow", s.downloadInTime)
	t.Run("rights", s.mayDownload)
}

func (s *served) downloadsByKubectl(t *testing.T) {
	for path, want := range map[string]string{
		snapshotOfApps + "?format=csv":                 "cluster,inventory_namespace,",
		snapshotOfApps + "?format=ndjson":              `{"key":"`,
		snapshotOfApps:                                 `{"apiVersion":"inventory.kollect.io/v1alpha1","kind":"InventorySnapshot"`,
		snapshotOfApps + "?format=parquet":             "PAR1",
		group + "clusterinventories/platform/snapshot": `{"apiVersion":"inventory.kollect.io/v1alpha1","kind":"InventorySnapshot","metadata":{"cluster":"demo","name":"platform"`,
	} {
		if out := s.cp.MustKubectl(t, "get", "--raw", path); !strings.HasPrefix(out, want) {
			t.Errorf("kubectl get --raw %s: got %.200s, want %s", path, out, want)
		}
	}
	for path, want := range map[string]string{
		snapshotOfApps + "?format=xlsx":                       "valid are json, ndjson, csv, parquet",
		group + "namespaces/team-a/inventories/none/snapshot": "not found",
	} {
		if out, err := s.cp.Kubectl(t.Context(), "get", "--raw", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("kubectl get --raw %s: got %v, %.200s, want %s", path, err, out, want)
		}
	}
}

// ask answers a request as it came, without decompressing it.
func ask(t *testing.T, config *rest.Config, method, path string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	response := open(t, config, method, path, header)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func open(t *testing.T, config *rest.Config, method, path string, header http.Header) *http.Response {
	t.Helper()
	config = rest.CopyConfig(config)
	config.DisableCompression = true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		request.Header = header.Clone()
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

// both returns the ways to the server.
func (s *served) both(config *rest.Config) map[string]*rest.Config {
	direct := rest.CopyConfig(config)
	direct.Host, direct.CAData, direct.Insecure = s.host, nil, true
	return map[string]*rest.Config{"aggregated": config, "direct": direct}
}

func (s *served) downloads(t *testing.T) {
	for way, config := range s.both(s.cp.Config()) {
		for _, f := range format.All() {
			path := snapshotOfApps + "?format=" + string(f)
			plain, want := ask(t, config, "GET", path, http.Header{"Accept-Encoding": {"identity"}})
			if plain.StatusCode != 200 || plain.Header.Get("Content-Type") != f.ContentType() || plain.Header.Get("Kollect-Rows") != "2000" ||
				plain.Header.Get("Content-Disposition") == "" || plain.Header.Get("Vary") == "" || len(want) < 50_000 {
				t.Fatalf("%s, %s: got %v with %d bytes", way, f, plain, len(want))
			}
			for _, header := range []http.Header{{}, {"Accept-Encoding": {"gzip"}}, {"Accept-Encoding": {"identity"}}} {
				what := fmt.Sprintf("%s, %s, %v", way, f, header)
				response, got := ask(t, config, "GET", path, header)
				if response.Header.Get("Content-Encoding") == "gzip" {
					got = unzip(t, got)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s: got %d bytes, want %d", what, len(got), len(want))
				}
				header.Set("If-None-Match", response.Header.Get("ETag"))
				if again, body := ask(t, config, "GET", path, header); again.StatusCode != 304 || len(body) > 0 {
					t.Errorf("%s: got %v with %d bytes, want 304", what, again, len(body))
				}
			}
			etag := plain.Header.Get("ETag")
			if head, body := ask(t, config, "HEAD", path, nil); head.StatusCode != 200 || head.Header.Get("ETag") != etag || len(body) > 0 {
				t.Errorf("%s, %s: head: got %v", way, f, head)
			}
			rest, tail := ask(t, config, "GET", path, http.Header{"Range": {"bytes=40000-"}, "If-Range": {etag}, "Accept-Encoding": {"identity"}})
			if rest.StatusCode != 206 || !bytes.Equal(tail, want[40_000:]) {
				t.Errorf("%s, %s: the rest: got %v with %d bytes", way, f, rest, len(tail))
			}
		}
		s.store.Update(func(tx *inventory.Tx) {
			tx.SetTargetState(inventory.TargetRef{Namespace: "team-a", Name: "web"}, inventory.TargetState{Synced: true, Stale: way == "aggregated"})
		})
		response, _ := ask(t, config, "GET", snapshotOfApps, nil)
		if got := response.Header.Get("Warning"); strings.Contains(got, "the snapshot is stale") != (way == "aggregated") {
			t.Errorf("%s: got warning %q", way, got)
		}
	}
}

func unzip(t *testing.T, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Who can't take all of it in the time that a request has gets an error, not a
// short file.
func (s *served) downloadInTime(t *testing.T) {
	const rows = 40_000 // far more than is buffered on the way
	s.add(inventory.Ref{Namespace: "team-a", Name: "large"}, rows)
	for way, config := range s.both(s.cp.Config()) {
		var response *http.Response
		for timeout := 2 * time.Second; ; timeout *= 2 { // a busy machine may take long to begin
			path := group + "namespaces/team-a/inventories/large/snapshot?format=ndjson&timeout=" + timeout.String()
			response = open(t, config, "GET", path, http.Header{"Accept-Encoding": {"identity"}})
			if response.StatusCode != http.StatusGatewayTimeout || timeout > 5*time.Second {
				break
			}
			response.Body.Close()
		}
		tick := time.NewTicker(100 * time.Millisecond)
		read := int64(0)
		for {
			n, err := io.CopyN(io.Discard, response.Body, 64<<10)
			read += n
			if err == io.EOF {
				t.Errorf("%s: %d bytes ended as if they were all", way, read)
			}
			if err != nil {
				break
			}
			<-tick.C
		}
		tick.Stop()
		response.Body.Close()
		if response.StatusCode != 200 || read == 0 {
			t.Errorf("%s: got %v with %d bytes", way, response, read)
		}
	}
}

// mayDownload grants one inventory's snapshot and nothing else.
func (s *served) mayDownload(t *testing.T) {
	s.cp.MustKubectl(t, "create", "namespace", "team-a")
	s.cp.MustKubectl(t, "create", "role", "apps", "-n", "team-a", "--verb=get", "--resource=inventories.inventory.kollect.io/snapshot", "--resource-name=apps")
	s.cp.MustKubectl(t, "create", "rolebinding", "apps", "-n", "team-a", "--role=apps", "--user=bob")
	s.cp.MustKubectl(t, "create", "role", "heads", "-n", "team-a", "--verb=get,list,watch", "--resource=inventories.inventory.kollect.io")
	s.cp.MustKubectl(t, "create", "rolebinding", "heads", "-n", "team-a", "--role=heads", "--user=carol")
	for user, allowed := range map[string]map[string]bool{
		"bob":   {snapshotOfApps: true},
		"carol": {group + "namespaces/team-a/inventories/apps": true},
	} {
		config, err := s.cp.UserConfig(user)
		if err != nil {
			t.Fatal(err)
		}
		for way, config := range s.both(config) {
			for path := range allowed {
				if err := poll(t, func() error {
					if response, _ := ask(t, config, "GET", path, nil); response.StatusCode != 200 {
						return fmt.Errorf("got %s", response.Status)
					}
					return nil
				}); err != nil {
					t.Errorf("%s, %s: GET %s: %v", way, user, path, err)
				}
			}
			for _, path := range []string{
				snapshotOfApps,
				group + "namespaces/team-a/inventories/apps",
				group + "namespaces/team-a/inventories/other/snapshot",
				group + "namespaces/team-a/inventories/none/snapshot",
				group + "namespaces/team-b/inventories/apps/snapshot",
				group + "clusterinventories/platform/snapshot",
				group + "namespaces/team-a/inventoryrows",
			} {
				for _, method := range []string{"GET", "HEAD"} {
					if response, _ := ask(t, config, method, path, nil); !allowed[path] && response.StatusCode != 403 || allowed[path] && method == "GET" && response.StatusCode != 200 {
						t.Errorf("%s, %s: %s %s: got %s", way, user, method, path, response.Status)
					}
				}
			}
		}
	}
}
