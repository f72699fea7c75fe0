package clouds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// destination is a bucket, to which stores write and which reader reads.
type destination struct {
	name    string // of the bucket
	address string // of the server
	url     string
	secret  map[string][]byte
	reader  *blob.Bucket
}

func (d *destination) Open(t *testing.T) sink.SnapshotStore {
	t.Helper()
	store, err := objectstore.Open(t.Context(), kollectv1alpha1.ObjectStoreSink{
		URL: d.url, Prefix: "some/where", Format: kollectv1alpha1.FormatNDJSON, Retention: &kollectv1alpha1.Retention{Keep: 100},
	}, d.secret, objectstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	namespace := of.Namespace
	if namespace == "" {
		namespace = "_cluster"
	}
	raw, err := d.reader.ReadAll(ctx, fmt.Sprintf("some/where/inventory/cluster=%s/ns=%s/name=%s/_latest.json", of.Cluster, namespace, of.Name))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var latest struct {
		Generation int64
		Rows       int
		Data       string
		Forgotten  bool
	}
	if err := json.Unmarshal(raw, &latest); err != nil {
		return nil, fmt.Errorf("pointer %q: %w", raw, err)
	}
	if latest.Forgotten {
		return nil, nil
	}
	data, err := d.reader.ReadAll(ctx, "some/where/"+latest.Data)
	if err != nil {
		return nil, err
	}
	content := &sinktest.Content{Generation: latest.Generation, Rows: map[string]string{}}
	for line := range bytes.Lines(data) {
		var row struct {
			Key        string
			Attributes json.RawMessage
		}
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, err
		}
		content.Rows[row.Key] = string(row.Attributes)
	}
	if len(content.Rows) != latest.Rows {
		return nil, fmt.Errorf("%s: %d rows, %d in the pointer", latest.Data, len(content.Rows), latest.Rows)
	}
	return content, nil
}

// testLarge exports what takes several parts.
func testLarge(t *testing.T, d *destination) {
	store := d.Open(t)
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	const rows = 2700
	fillLarge(s, rows) // about 28 MB
	export := sink.Export{Snapshot: s.Snapshot(), Generation: 1, Time: when}
	if _, err := store.Write(t.Context(), export); err != nil {
		t.Fatal(err)
	}
	got, err := d.Read(t.Context(), s.Snapshot().Inventory())
	if err != nil || got.Generation != 1 || len(got.Rows) != rows {
		t.Fatalf("read: %v", err)
	}
	// Leftovers of several parts stop an export too, and stay as they are.
	other := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	fillLarge(other, rows+1)
	key := "some/where/inventory/cluster=demo/ns=team-a/name=apps/generation=2.ndjson"
	if err := d.reader.WriteAll(t.Context(), key, []byte("left"), nil); err != nil {
		t.Fatal(err)
	}
	_, err = store.Write(t.Context(), sink.Export{Snapshot: other.Snapshot(), Generation: 2, Time: when})
	if err == nil || !strings.Contains(err.Error(), "begun before") {
		t.Errorf("over a leftover: %v", err)
	}
	if left, err := d.reader.ReadAll(t.Context(), key); err != nil || string(left) != "left" {
		t.Errorf("the leftover is %d bytes, %v", len(left), err)
	}
}

// fillLarge adds n rows of 10 kB, of which few make a part.
func fillLarge(s *sinktest.Sample, n int) {
	text := strings.Repeat("0123456789", 1000)
	for i := range n {
		s.SetAttributes(fmt.Sprintf("app-%04d", i), `{"image":"nginx:1.27","text":"`+text+`"}`)
	}
}

// testNoBucket exports to a bucket that is not there.
func testNoBucket(t *testing.T, d *destination) {
	store := d.Open(t)
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	_, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 1, Time: when})
	if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "bucket") {
		t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
	}
}
