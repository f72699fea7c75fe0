package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// The requests that are fuzzed are made of these, and of what the fuzzer gives.
var (
	fuzzPaths = []string{
		"inventoryrows", "namespaces/team-a/inventoryrows", "clusterinventoryrows", "inventories", "clusterinventories",
		"namespaces/team-a/inventories/apps", "namespaces/team-a/inventories/apps/snapshot", "namespaces/team-a/inventories/apps/diff",
		"clusterinventories/none/snapshot", "namespaces/team-a/inventoryrows/apps.x", "watch/inventoryrows", "watch/namespaces/team-a/inventories/apps",
		"accessiblerows", "namespaces/source/accessiblerows", "namespaces/source/accessiblerows/apps.x", "watch/namespaces/source/accessiblerows",
	}
	fuzzMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"}
)

// badQueries are queries that a client gets wrong, and their like that are
// right. Each goes to every path.
var badQueries = []string{
	"", "&&&", "=", "%", "%zz=%zz", "a;b", "unknown=1", strings.Repeat("limit=1&", 500),
	"labelSelector=(", "labelSelector=a%20in%20(", "labelSelector=%00", "labelSelector=a=b,,c", "labelSelector=a%20notin%20()", "labelSelector=" + strings.Repeat("a%2C", 3000),
	"labelSelector=A_B.c%2Fx%3Dy", "labelSelector=%21%21a", "labelSelector=a%3E1", "labelSelector=a%3Ex", "labelSelector=%F0%9F%98%80",
	"fieldSelector=(", "fieldSelector=metadata.name", "fieldSelector=metadata.name%3D%5C", "fieldSelector=x%3D1", "fieldSelector=metadata.name%21%3Dx", "fieldSelector=%3D", "fieldSelector=metadata.name%3D..%2F..",
	"fieldSelector=metadata.namespace%3Dother", "fieldSelector=source.kind%3DDeployment%2Csource.kind%3DPod", "fieldSelector=attributes.image%3Da", "fieldSelector=attributes.%3Da", "fieldSelector=inventory%3D%00",
	"continue=x", "continue=e30", "continue=" + strings.Repeat("A", 5000), "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4ifQ", "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6OTIyMzM3MjAzNjg1NDc3NTgwNywic3RhcnQiOiJhIn0&limit=1",
	"limit=x", "limit=-1", "limit=0", "limit=9223372036854775807", "limit=9223372036854775808", "limit=1e3", "limit=%2B1",
	"resourceVersion=x", "resourceVersion=-1", "resourceVersion=0", "resourceVersion=01", "resourceVersion=18446744073709551615", "resourceVersion=18446744073709551616", "resourceVersion=1.5", "resourceVersion=%20",
	"resourceVersionMatch=Exact", "resourceVersionMatch=x", "resourceVersion=1&resourceVersionMatch=x", "resourceVersion=0&resourceVersionMatch=Exact", "resourceVersion=1&resourceVersionMatch=Exact&continue=x", "resourceVersionMatch=NotOlderThan",
	"watch=maybe", "watch=1&resourceVersion=x", "watch=1&resourceVersion=5", "watch=1&limit=-5", "watch=1&continue=x", "watch=true&resourceVersionMatch=Exact", "watch=1&sendInitialEvents=true", "watch=1&sendInitialEvents=x",
	"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan", "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=x&resourceVersion=7",
	"sendInitialEvents=true", "allowWatchBookmarks=perhaps", "watch=1&timeoutSeconds=1&resourceVersion=0", "watch=1&timeoutSeconds=-1", "timeoutSeconds=x", "timeoutSeconds=99999999999999999999", "timeout=x", "timeout=-1s", "timeout=1ns", "timeout=1h", "timeout=%00",
	"pretty=x", "pretty=true", "includeObject=None", "includeObject=x", "includeObject=", "shardSelector=x",
	"from=x", "from=0", "from=1", "from=-1", "to=1", "from=18446744073709551615", "from=1&to=x", "from=&to=", "from=1&from=2", "format=csv&from=1",
	"format=csv", "format=x", "format=", "format=CSV", "format=json&format=csv", "format=parquet&resourceVersion=x", "format=ndjson&resourceVersion=0&resourceVersionMatch=Exact", "format=json&limit=1",
	"dryRun=All", "gracePeriodSeconds=x", "propagationPolicy=x", "fieldManager=x&force=y",
}

var badHeaders = []string{
	"", ",", ";", "*", "*/*", "*/*;q=x", "application/json;as=Table", "application/json;as=Table;v=v9;g=meta.k8s.io", asTable, asMeta, "application/json;as=Table;v=v1;g=x", "application/json;as=;v=;g=",
	"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", "text/csv", "text/csv;q=0", "application/vnd.apache.parquet, text/csv;q=0.1", "application/yaml", "application/yaml;stream=watch", "application/json;stream=watch", "application/cbor",
	"application/vnd.kubernetes.protobuf", "application/json;charset=\"", "image/png", strings.Repeat("a/b,", 2000), "text/html", "q=1", "application/json;q=99999999999999999999999",
	"bytes=0-", "bytes=-1", "bytes=9999999999999999999-", "bytes=5-1", "bytes=0-1,5-6", "\"x\"", "W/\"x\"", "gzip", "gzip;q=0", "identity;q=0, *;q=0", "br",
}

// FuzzRequests sends requests that are wrong in some way. The server never says
// that the fault is its own. A test sends all queries, headers and methods to all
// paths; a run that changes them begins with each of them once.
func FuzzRequests(f *testing.F) {
	paths, next := len(fuzzPaths), 0 // of a request
	if changes := flag.Lookup("test.fuzz"); changes.Value.String() != "" {
		paths = 1
	}
	add := func(method uint8, query, accept, header string) {
		for range paths {
			f.Add(uint8(next%len(fuzzPaths)), method, query, accept, header)
			next++
		}
	}
	for _, query := range badQueries {
		add(0, query, asJSON, "")
	}
	for _, header := range badHeaders {
		add(0, "", header, header)
	}
	for method := range fuzzMethods {
		add(uint8(method), "", asJSON, "")
	}
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 3)
	may := &rights{}
	may.set("", newRow(apps, 0, "").Partition(), true)
	config := serveWith(f, s, may)
	config.DisableCompression = true
	f.Fuzz(func(t *testing.T, path, methodIndex uint8, query, accept, header string) {
		t.Parallel() // some wait for a version
		method := fuzzMethods[int(methodIndex)%len(fuzzMethods)]
		answer := raw(t, config, method, fuzzPaths[int(path)%len(fuzzPaths)], query, accept, header)
		if answer == nil {
			return // HTTP has no such request
		}
		if answer.code == http.StatusInternalServerError {
			t.Errorf("got %d %s", answer.code, answer.body)
		}
		if writes := []string{"POST", "PUT", "PATCH", "DELETE"}; slices.Contains(writes, method) && answer.code < 400 {
			t.Errorf("got %d %s for a write", answer.code, answer.body)
		}
		if method != "HEAD" && answer.code >= 400 && strings.HasPrefix(answer.kind, asJSON) {
			var status metav1.Status
			if err := json.Unmarshal(answer.body, &status); err != nil || int(status.Code) != answer.code || status.Reason == "" && answer.code != http.StatusNotAcceptable {
				t.Errorf("got %d with %s (%v)", answer.code, answer.body, err)
			}
		}
	})
}

// A rawAnswer is what a client gets.
type rawAnswer struct {
	code int
	kind string
	body []byte
}

// raw sends the request, unless net/http's own checks refuse it here or there. Of
// a watch it reads the first events.
func raw(t *testing.T, config *rest.Config, method, path, query, accept, header string) *rawAnswer {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, config.Host+"/apis/inventory.kollect.io/v1alpha1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.URL.RawQuery = query
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	for _, name := range []string{"Range", "If-Range", "If-Match", "If-None-Match", "Accept-Encoding", "User-Agent"} {
		if header != "" {
			request.Header.Set(name, header)
		}
	}
	response, err := client.Do(request)
	if err != nil {
		for _, refused := range []string{"invalid header field value", "can't write control character", "invalid request :path", "invalid URL", "PROTOCOL_ERROR; received from peer"} {
			if strings.Contains(err.Error(), refused) {
				return nil
			}
		}
		if endsInTime(query, err) {
			return nil
		}
		t.Fatalf("%s %s?%.300s: %v", method, path, query, err)
	}
	defer response.Body.Close()
	a := &rawAnswer{code: response.StatusCode, kind: response.Header.Get("Content-Type")}
	if isWatch(request, response) {
		firstEvents(t, cancel, response.Body)
		return a
	}
	if a.body, err = io.ReadAll(response.Body); err != nil && !endsInTime(query, err) {
		t.Fatalf("%s %s?%.300s: %v", method, path, query, err)
	}
	return a
}

// endsInTime reports whether an answer ended midway because the request's own time
// was up.
func endsInTime(query string, err error) bool {
	return strings.Contains(query, "timeout=") && strings.Contains(err.Error(), "INTERNAL_ERROR; received from peer")
}

func isWatch(request *http.Request, response *http.Response) bool {
	query := request.URL.Query()
	return response.StatusCode == http.StatusOK && (query.Has("watch") || strings.Contains(request.URL.Path, "/watch/"))
}

// firstEvents reads what a watch has at once.
func firstEvents(t *testing.T, cancel func(), body io.Reader) {
	t.Helper()
	timer := time.AfterFunc(20*time.Millisecond, cancel)
	defer timer.Stop()
	for lines := bufio.NewScanner(body); lines.Scan(); {
		var e struct {
			Type   string
			Object metav1.Status
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err == nil && e.Type == "ERROR" && e.Object.Code == http.StatusInternalServerError {
			t.Errorf("got event %s", lines.Bytes())
		}
	}
}
