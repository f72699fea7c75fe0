package objectstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// destination is a place that stores share, read by what get returns.
type destination struct {
	faults
	spec kollectv1alpha1.ObjectStoreSink
	root string
	wrap func(bucket) bucket
	get  func(ctx context.Context, key string) ([]byte, error)
}

func (d *destination) Open(t *testing.T) sink.SnapshotStore {
	t.Helper()
	store, err := Open(t.Context(), d.spec, nil, Options{FileRoot: d.root})
	if err != nil {
		t.Fatal(err)
	}
	store.bucket = faulty{d.wrap(store.bucket), &d.faults}
	return store
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	namespace := of.Namespace
	if namespace == "" {
		namespace = "_cluster"
	}
	folder := fmt.Sprintf("%sinventory/cluster=%s/ns=%s/name=%s/", d.spec.Prefix, of.Cluster, namespace, of.Name)
	raw, err := d.get(ctx, folder+"_latest.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var latest struct {
		Generation int64
		Rows       int
		Data       string
		Size       int
		SHA256     string
		Format     string
		Forgotten  bool
	}
	if err := json.Unmarshal(raw, &latest); err != nil {
		return nil, fmt.Errorf("pointer %q: %w", raw, err)
	}
	if latest.Forgotten {
		return nil, nil
	}
	data, err := d.get(ctx, d.spec.Prefix+latest.Data)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if len(data) != latest.Size || hex.EncodeToString(sum[:]) != latest.SHA256 {
		return nil, fmt.Errorf("%s: %d bytes, not the %d of the pointer, or others", latest.Data, len(data), latest.Size)
	}
	if want := fmt.Sprintf("%sgeneration=%d.%s", strings.TrimPrefix(folder, d.spec.Prefix), latest.Generation, latest.Format); latest.Data != want {
		return nil, fmt.Errorf("data is at %s, not at %s", latest.Data, want)
	}
	content := &sinktest.Content{Generation: latest.Generation, Rows: map[string]string{}}
	if err := readRows(latest.Format, data, content.Rows); err != nil {
		return nil, err
	}
	if len(content.Rows) != latest.Rows {
		return nil, fmt.Errorf("%d rows, %d in the pointer", len(content.Rows), latest.Rows)
	}
	return content, nil
}

type jsonRow struct {
	Key        string
	Attributes json.RawMessage
}

func readRows(format string, data []byte, into map[string]string) error {
	var rows []jsonRow
	switch format {
	case "json":
		var doc struct{ Rows []jsonRow }
		if err := json.Unmarshal(data, &doc); err != nil {
			return err
		}
		rows = doc.Rows
	case "ndjson":
		for line := range bytes.Lines(data) {
			var row jsonRow
			if err := json.Unmarshal(line, &row); err != nil {
				return err
			}
			rows = append(rows, row)
		}
	case "parquet":
		type parquetRow struct {
			Key        string `parquet:"row_key"`
			Attributes string `parquet:"attributes"`
		}
		got, err := parquet.Read[parquetRow](bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return err
		}
		for _, r := range got {
			into[r.Key] = r.Attributes
		}
	}
	for _, r := range rows {
		into[r.Key] = string(r.Attributes)
	}
	return nil
}

func inFolder(t *testing.T, format kollectv1alpha1.Format) *destination {
	root := t.TempDir()
	return &destination{
		spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///tenant/lake", Prefix: "some/where/", Format: format},
		root: root,
		wrap: func(b bucket) bucket { return b },
		get: func(_ context.Context, key string) ([]byte, error) {
			return os.ReadFile(filepath.Join(root, "tenant/lake", filepath.FromSlash(key)))
		},
	}
}

// inMemory has stores write through the cloud code to a bucket in memory.
func inMemory(t *testing.T) *destination {
	memory := memblob.OpenBucket(nil)
	t.Cleanup(func() { memory.Close() })
	var swaps sync.Mutex
	return &destination{
		spec: kollectv1alpha1.ObjectStoreSink{URL: "file:///unused", Format: "ndjson"},
		root: t.TempDir(),
		wrap: func(b bucket) bucket {
			b.close()
			return &inMemoryBlobs{blobs: memoryBlobs(memory), swaps: &swaps}
		},
		get: func(ctx context.Context, key string) ([]byte, error) {
			data, err := memory.ReadAll(ctx, key)
			if gcerrors.Code(err) == gcerrors.NotFound {
				err = fs.ErrNotExist
			}
			return data, err
		},
	}
}

func memoryBlobs(bucket *blob.Bucket) *blobs {
	return &blobs{
		bucket:    bucket,
		root:      "memory://lake/",
		version:   func(r *blob.Reader) string { return strconv.FormatInt(r.ModTime().UnixNano(), 10) },
		ifVersion: func(func(any) bool, string) error { return nil }, // compared in swap below
	}
}

// inMemoryBlobs compares versions itself, since memblob has no conditions.
type inMemoryBlobs struct {
	*blobs
	swaps *sync.Mutex
}

func (b *inMemoryBlobs) swap(ctx context.Context, key, contentType string, data []byte, version string) error {
	b.swaps.Lock()
	defer b.swaps.Unlock()
	attributes, err := b.bucket.Attributes(ctx, key)
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	if version != "" && (err != nil || strconv.FormatInt(attributes.ModTime.UnixNano(), 10) != version) {
		return errChanged
	}
	return b.blobs.swap(ctx, key, contentType, data, version)
}

func (b *inMemoryBlobs) close() error { return nil }

// withoutFaults is a destination that does not fail.
type withoutFaults struct{ sinktest.Snapshots }

func TestConformance(t *testing.T) {
	t.Run("file parquet", func(t *testing.T) {
		sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return inFolder(t, "parquet") })
	})
	for _, format := range []kollectv1alpha1.Format{"json", "ndjson"} { // in the same steps
		t.Run("file "+string(format), func(t *testing.T) {
			sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return withoutFaults{inFolder(t, format)} })
		})
	}
	t.Run("cloud", func(t *testing.T) {
		sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return inMemory(t) })
	})
}

// What a killed or failed export leaves is unfinished files at most, which
// retention takes away.
func TestNoTemporaryFilesStay(t *testing.T) {
	d := inFolder(t, "parquet")
	store := d.Open(t)
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for generation := int64(1); generation < 40; generation++ {
		s.Fill(int(generation))
		d.Interrupt(int(generation)%13, sinktest.Cut)
		_, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: time.Unix(1_795_000_000, 0)})
		if err != nil && !errors.Is(err, sinktest.ErrInjected) && !strings.Contains(err.Error(), sinktest.ErrInjected.Error()) {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(d.root, func(name string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(path.Base(name), temporaryMark) {
			t.Errorf("%s stayed", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
