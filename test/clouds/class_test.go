package clouds_test

import (
	"net/http"
	"path"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// classOf returns the storage class that the server keeps of an object.
type classOf func(t *testing.T, key string) string

// testClass checks which objects of an export are of the class: data alone.
func testClass(t *testing.T, d *destination, class string, of classOf) {
	d.url += "&storage_class=" + class
	store := d.Open(t)
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for i, rows := range []int{10, 30_000} { // in one piece, and in parts
		s.Fill(rows)
		if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: int64(i + 1), Time: when}); err != nil {
			t.Fatal(err)
		}
	}
	const folder = "some/where/inventory/cluster=demo/ns=team-a/name=apps/"
	for _, key := range []string{
		folder + "generation=1.ndjson", folder + "generation=2.ndjson", folder + "_manifests/1.json", folder + "_latest.json",
		"some/where/current/cluster=demo/_inventories.json",
	} {
		if got := of(t, key); (got == class) != strings.HasPrefix(path.Base(key), "generation=") {
			t.Errorf("%s is of class %q", key, got)
		}
	}
}

// testEncrypted checks that all that is written is to be encrypted with the key.
func testEncrypted(t *testing.T, d *destination) {
	d, f := d.before(t)
	d.url += "&ssetype=aws:kms&kmskeyid=alias/lake&storage_class=STANDARD_IA"
	store := d.Open(t)
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for i, rows := range []int{10, 30_000} {
		s.Fill(rows)
		if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: int64(i + 1), Time: when}); err != nil {
			t.Fatal(err)
		}
	}
	writes := f.seen(func(r *http.Request) bool {
		return r.Method == http.MethodPut && !r.URL.Query().Has("partNumber") || r.Method == http.MethodPost && r.URL.Query().Has("uploads")
	})
	kinds := map[string]bool{}
	for _, r := range writes {
		kinds[path.Base(keyOf(r))] = true
		if r.Header.Get("X-Amz-Server-Side-Encryption") != "aws:kms" || r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id") != "alias/lake" {
			t.Errorf("%s %s is not to be encrypted with the key", r.Method, r.URL)
		}
		isData := strings.HasPrefix(path.Base(keyOf(r)), "generation=")
		if got := r.Header.Get("X-Amz-Storage-Class"); (got == "STANDARD_IA") != isData {
			t.Errorf("%s %s is of class %q", r.Method, r.URL, got)
		}
	}
	for _, want := range []string{"generation=1.ndjson", "generation=2.ndjson", "1.json", "_latest.json", "_inventories.json"} {
		if !kinds[want] {
			t.Errorf("%s was not written, of %d", want, len(writes))
		}
	}
}
