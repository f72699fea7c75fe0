package inventory

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

const snapshotOfApps = "namespaces/team-a/inventories/apps/snapshot"

// A download has, in each format, what the API lists at its version.
func TestSnapshotHasWhatIsListed(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 40)
	addInventory(s, inventory.Ref{Namespace: "team-b", Name: "apps"}, 2)
	addInventory(s, platform, 30)
	change(s, newRow(apps, 3, "a,\"b\"\n=c\\"))
	change(s, newRow(apps, 4, ""))
	config := serve(t, s)
	for path, list := range map[string]string{
		snapshotOfApps:                         "namespaces/team-a/inventoryrows?fieldSelector=inventory%3Dapps",
		"clusterinventories/platform/snapshot": "clusterinventoryrows?fieldSelector=inventory%3Dplatform",
	} {
		for _, f := range format.All() {
			response, data := ask(t, config, "GET", path+"?format="+string(f))
			version := response.Header.Get("Kollect-Resource-Version")
			_, listed := ask(t, config, "GET", list+"&resourceVersionMatch=Exact&resourceVersion="+version)
			want := downloaded(t, format.JSON, listed)
			if diff := cmp.Diff(want, downloaded(t, f, data)); diff != "" || len(want) < 30 {
				t.Errorf("%s as %s: %d rows listed: -list +download\n%s", path, f, len(want), diff)
			}
			change(s, newRow(apps, 5, string(f))) // the next has another version
			change(s, newRow(platform, 5, string(f)))
			_, again := ask(t, config, "GET", path+"?format="+string(f)+"&resourceVersionMatch=Exact&resourceVersion="+version)
			if !bytes.Equal(data, again) {
				t.Errorf("%s as %s: the version that was downloaded has other bytes now", path, f)
			}
		}
	}
}

func TestSnapshotSaysWhatItIs(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 3)
	addInventory(s, platform, 1)
	s.Update(func(tx *inventory.Tx) { tx.SetStatus(apps, inventory.Status{Generation: 42}) })
	config := serve(t, s)
	snapshot := s.State().Snapshot(apps)
	for f, contentType := range map[format.Format]string{
		format.JSON: "application/json", format.NDJSON: "application/x-ndjson", format.Parquet: "application/vnd.apache.parquet",
		format.CSV: "text/csv; charset=utf-8; header=present",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			response, body := ask(t, config, method, snapshotOfApps+"?format="+string(f))
			for name, want := range map[string]string{
				"Content-Type":             contentType,
				"Content-Disposition":      "attachment; filename=team-a_apps." + string(f),
				"Content-Encoding":         "",
				"Cache-Control":            "no-cache, private",
				"Vary":                     "Accept, Accept-Encoding",
				"Warning":                  "",
				"ETag":                     `"` + snapshot.Hash().String() + "-" + f.Schema(snapshot.Inventory()) + `"`,
				"Kollect-Content-Hash":     snapshot.Hash().String(),
				"Kollect-Generation":       "42",
				"Kollect-Resource-Version": fmt.Sprint(s.State().Version),
				"Kollect-Rows":             "3",
				"Kollect-Observed-Time":    snapshot.Head().Observed.UTC().Format(time.RFC3339),
				"Kollect-Synced":           "true",
				"Kollect-Stale":            "false",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s as %s: %s is %q, want %q", method, f, name, got, want)
				}
			}
			if response.StatusCode != 200 || (method == "HEAD") != (len(body) == 0) {
				t.Errorf("%s as %s: got %d with %d bytes", method, f, response.StatusCode, len(body))
			}
		}
	}
	if response, _ := ask(t, config, "GET", "clusterinventories/platform/snapshot"); response.Header.Get("Content-Disposition") != "attachment; filename=platform.json" {
		t.Errorf("cluster: got %v", response.Header)
	}
}

func TestSnapshotWarns(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 3)
	config := serve(t, s)
	target := *targetOf(apps)
	for _, test := range []struct {
		state  inventory.TargetState
		want   string
		synced bool
	}{
		{inventory.TargetState{}, `299 - "the snapshot is not complete: the first list is not of target team-a/apps;`, false},
		{inventory.TargetState{Synced: true, Stale: true, Message: "gone"}, `299 - "the snapshot is stale: it has what was last seen of target team-a/apps;`, true},
		{inventory.TargetState{Synced: true}, "", true},
	} {
		s.Update(func(tx *inventory.Tx) { tx.SetTargetState(target, test.state) })
		for _, header := range [][]string{{}, {"If-None-Match", "*"}} {
			response, _ := ask(t, config, "GET", snapshotOfApps, header...)
			warnings := strings.Join(response.Header.Values("Warning"), "\n")
			if !strings.HasPrefix(warnings, test.want) || test.want == "" && warnings != "" {
				t.Errorf("%+v: got %q, want %s", test.state, warnings, test.want)
			}
			if response.Header.Get("Kollect-Synced") != strconv.FormatBool(test.synced) || response.Header.Get("Kollect-Stale") != strconv.FormatBool(test.state.Stale) {
				t.Errorf("%+v: got %v", test.state, response.Header)
			}
		}
	}
}

// Equal contents are equal bytes with an equal ETag, whatever became of them
// before, at any replica.
func TestSnapshotIsDeterministic(t *testing.T) {
	a, b := inventory.NewStore(inventory.Options{Epoch: 3}), inventory.NewStore(inventory.Options{Epoch: 9})
	addInventory(a, apps, 500)
	addInventory(b, platform, 7)
	addInventory(b, apps, 1)
	for i := range 500 {
		change(b, newRow(apps, 499-i, "other"))
	}
	for i := range 500 {
		change(b, newRow(apps, i, "nginx:1.27"))
	}
	one, other := serve(t, a), serve(t, b)
	tags := map[string]string{}
	for _, f := range format.All() {
		for _, encoding := range []string{"identity", "gzip"} {
			r, x := ask(t, one, "GET", snapshotOfApps+"?format="+string(f), "Accept-Encoding", encoding)
			q, y := ask(t, other, "GET", snapshotOfApps+"?format="+string(f), "Accept-Encoding", encoding)
			etag := r.Header.Get("ETag")
			if !bytes.Equal(x, y) || etag != q.Header.Get("ETag") {
				t.Errorf("%s, %s: got %d bytes with %s and %d with %s", f, encoding, len(x), etag, len(y), q.Header.Get("ETag"))
			}
			if before, ok := tags[etag]; ok && (f != format.Parquet || before != "parquet identity") {
				t.Errorf("%s, %s: its ETag is that of %s", f, encoding, before)
			}
			tags[etag] = string(f) + " " + encoding
			if f != format.NDJSON || encoding != "gzip" {
				continue
			}
			const want = "4ab0ea8db719841bebc45a00ca4e66370bb967e1c961e3840787b1f22d66e2e5"
			if got := fmt.Sprintf("%x", sha256.Sum256(x)); got != want {
				t.Errorf("gzip writes other bytes, so its ETag has to be another too: %s", got)
			}
		}
	}
}

func TestSnapshotIsCompressed(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 100)
	config := serve(t, s)
	for _, f := range format.All() {
		_, plain := ask(t, config, "GET", snapshotOfApps+"?format="+string(f))
		response, body := ask(t, config, "GET", snapshotOfApps+"?format="+string(f), "Accept-Encoding", "gzip, deflate, br")
		if f == format.Parquet {
			if response.Header.Get("Content-Encoding") != "" || !bytes.Equal(plain, body) {
				t.Error("parquet is compressed, which it is in itself")
			}
			continue
		}
		unzipped, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil || response.Header.Get("Content-Encoding") != "gzip" {
			t.Fatalf("%s: %v, %v", f, err, response.Header)
		}
		if got, err := io.ReadAll(unzipped); err != nil || !bytes.Equal(got, plain) || len(body) > len(plain)/3 {
			t.Errorf("%s: %v, %d bytes of %d", f, err, len(body), len(plain))
		}
		if length := response.Header.Get("Content-Length"); length != "" && length != fmt.Sprint(len(body)) {
			t.Errorf("%s: Content-Length %s, got %d", f, length, len(body))
		}
	}
	for header, want := range map[string]bool{
		"gzip": true, "GZIP": true, "*": true, "br, gzip;q=0.5": true, "gzip;q=1.0, identity; q=0.5, *;q=0": true,
		"": false, "identity": false, "br": false, "gzip;q=0": false, "*;q=0": false, "gzip;q=0, *": false, "identity, gzip;q=0.5": false,
	} {
		response, _ := ask(t, config, "HEAD", snapshotOfApps, "Accept-Encoding", header)
		if got := response.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: gzip is %t, want %t", header, got, want)
		}
	}
}

func TestSnapshotRequests(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 3)
	config := serve(t, s)
	const all = "only the following media types are accepted: application/json, application/x-ndjson, text/csv, application/vnd.apache.parquet"
	for _, test := range []struct {
		method, path, accept string
		code                 int
		want                 string
	}{
		{"GET", snapshotOfApps, "application/json, */*", 200, `{"apiVersion":"inventory.kollect.io/v1alpha1","kind":"InventorySnapshot"`},
		{"GET", snapshotOfApps, "", 200, `{"apiVersion":`},
		{"GET", snapshotOfApps, "*/*", 200, `{"apiVersion":`},
		{"GET", snapshotOfApps, "text/html, application/xml;q=0.9, */*;q=0.8", 200, `{"apiVersion":`},
		{"GET", snapshotOfApps, "text/csv", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps, "TEXT/CSV; charset=utf-8", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps, "text/*", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps, "application/json;q=0.5, text/csv", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps, "text/csv;q=0.1, application/x-ndjson;q=0.2", 200, `{"key":`},
		{"GET", snapshotOfApps, "application/ndjson", 200, `{"key":`},
		{"GET", snapshotOfApps, "application/vnd.apache.parquet, application/json", 200, `PAR1`},
		{"GET", snapshotOfApps, "application/json;q=0, */*", 200, `{"key":`},
		{"GET", snapshotOfApps, asTable, 200, `{"apiVersion":`},
		{"GET", snapshotOfApps + "?format=csv", "application/json", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps + "?format=csv", "text/html", 200, `cluster,inventory_namespace,`},
		{"GET", snapshotOfApps + "?timeout=10s&pretty=true&resourceVersion=0", "text/csv", 200, `cluster,`},
		{"GET", snapshotOfApps, "application/vnd.kubernetes.protobuf", 406, all},
		{"GET", snapshotOfApps, "text/html", 406, all},
		{"GET", snapshotOfApps, "text/csv;q=0", 406, all},
		{"GET", snapshotOfApps, "nonsense", 406, all},
		{"GET", snapshotOfApps + "?format=xlsx", "*/*", 400, `format \"xlsx\" is unknown: valid are json, ndjson, csv, parquet`},
		{"GET", snapshotOfApps + "?format=", "*/*", 400, `valid are json, ndjson, csv, parquet`},
		{"GET", snapshotOfApps + "?format=csv&format=json", "*/*", 400, `format is given 2 times`},
		{"GET", snapshotOfApps + "?fromat=csv", "*/*", 400, `parameter \"fromat\" is unknown: valid are format, resourceVersion, resourceVersionMatch`},
		{"GET", snapshotOfApps + "?format=%zz", "*/*", 400, `invalid URL escape`},
		{"GET", snapshotOfApps + "?resourceVersion=x", "*/*", 400, `resourceVersion: Invalid value`},
		{"GET", snapshotOfApps + "?resourceVersionMatch=Exact", "*/*", 400, `needs a resourceVersion`},
		{"GET", snapshotOfApps + "?resourceVersionMatch=NotOlderThan", "*/*", 400, `needs a resourceVersion`},
		{"GET", snapshotOfApps + "?resourceVersionMatch=Newest&resourceVersion=1", "*/*", 400, `valid are Exact, NotOlderThan`},
		{"GET", snapshotOfApps + "?resourceVersionMatch=Exact&resourceVersion=12", "*/*", 410, `"reason":"Expired"`},
		{"GET", snapshotOfApps + "?resourceVersion=9000000000000000000", "*/*", 504, `ResourceVersionTooLarge`},
		{"GET", snapshotOfApps + "?dryRun=All", "*/*", 400, `dryRun`},
		{"GET", "namespaces/team-a/inventories/none/snapshot", "text/csv", 404, `inventories.inventory.kollect.io \"none\" not found`},
		{"GET", "namespaces/team-b/inventories/apps/snapshot", "*/*", 404, `not found`},
		{"GET", "clusterinventories/apps/snapshot", "*/*", 404, `clusterinventories.inventory.kollect.io \"apps\" not found`},
		{"GET", snapshotOfApps + "/more", "*/*", 404, ``},
		{"POST", snapshotOfApps, "*/*", 405, ``},
		{"DELETE", snapshotOfApps, "*/*", 405, ``},
		{"GET", "", "application/json", 200, `{"name":"inventories/snapshot","singularName":"","namespaced":true,"kind":"Inventory","verbs":["get"]}`},
	} {
		response, body := ask(t, config, test.method, test.path, "Accept", test.accept)
		if response.StatusCode != test.code || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s as %s: got %d %.600s, want %d with %s", test.method, test.path, test.accept, response.StatusCode, body, test.code, test.want)
		}
	}
}
