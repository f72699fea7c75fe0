package crash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"
)

// lake is a folder with snapshots in Parquet.
type lake struct{ root string }

func (*lake) name() string { return "lake" }
func (*lake) end() error   { return nil }

func (*lake) sink(namespace string) string {
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: lake}
spec: {type: objectStore, objectStore: {url: "file:///%s", format: parquet, retention: {keep: 3}}, minWriteInterval: 0s}
`, namespace)
}

// parquetRow has the columns that are read.
type parquetRow struct {
	RowKey            string `parquet:"row_key"`
	TargetName        string `parquet:"target_name"`
	Kind              string `parquet:"kind"`
	ResourceNamespace string `parquet:"resource_namespace"`
	ResourceName      string `parquet:"resource_name"`
	UID               string `parquet:"uid"`
	Labels            string `parquet:"labels"`
	Attributes        string `parquet:"attributes"`
	Generation        int64  `parquet:"generation"`
}

// read reads what _latest.json names.
func (l *lake) read(_ context.Context, namespace, inventory string) (content, error) {
	root := filepath.Join(l.root, namespace)
	text, err := os.ReadFile(filepath.Join(root, "inventory", "cluster="+clusterName, "ns="+namespace, "name="+inventory, "_latest.json"))
	if err != nil {
		return content{}, err
	}
	var latest struct {
		Generation  int64
		ContentHash string
		Rows        int64
		Data        string
		SHA256      string
		ConfirmedAt time.Time
	}
	if err := json.Unmarshal(text, &latest); err != nil {
		return content{}, brokenf("a torn pointer: %v: %s", err, text)
	}
	data, err := os.ReadFile(filepath.Join(root, latest.Data))
	if err != nil {
		return content{}, brokenf("a pointer to what is not there: %v", err)
	}
	if digest := sha256.Sum256(data); hex.EncodeToString(digest[:]) != latest.SHA256 {
		return content{}, brokenf("%s, which is not what the pointer says", latest.Data)
	}
	c := content{Generation: latest.Generation, Hash: latest.ContentHash, Confirmed: latest.ConfirmedAt}
	if c.Rows, err = readParquet(data, latest.Generation); err != nil {
		return content{}, brokenf("%s: %v", latest.Data, err)
	}
	if latest.Rows != int64(len(c.Rows)) {
		return c, brokenf("%d rows, of which it says that they are %d", len(c.Rows), latest.Rows)
	}
	return c, nil
}

func readParquet(data []byte, generation int64) (_ map[string]row, err error) {
	reader := parquet.NewGenericReader[parquetRow](bytes.NewReader(data))
	defer func() { err = errors.Join(err, reader.Close()) }()
	read := make([]parquetRow, reader.NumRows())
	for n := 0; n < len(read); {
		more, err := reader.Read(read[n:])
		if n += more; err != nil && !(errors.Is(err, io.EOF) && n == len(read)) {
			return nil, err
		}
	}
	rows := map[string]row{}
	for _, r := range read {
		if r.Generation != generation {
			return nil, fmt.Errorf("row %s is of generation %d, the file of %d", r.RowKey, r.Generation, generation)
		}
		found := row{Target: r.TargetName, Kind: r.Kind, Namespace: r.ResourceNamespace, Name: r.ResourceName, UID: r.UID}
		if err := errors.Join(json.Unmarshal([]byte(r.Labels), &found.Labels), json.Unmarshal([]byte(r.Attributes), &found.Attributes)); err != nil {
			return nil, err
		}
		rows[r.RowKey] = found
	}
	return rows, nil
}
