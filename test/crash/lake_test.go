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

// current is what a pointer, or a line of a cluster's list, says of an inventory.
type current struct {
	Name        string
	Generation  int64
	ContentHash string
	Rows        int64
	Data        string
	SHA256      string // in the pointer alone
	ConfirmedAt time.Time
}

func (l *lake) path(namespace string, elements ...string) string {
	return filepath.Join(append([]string{l.root, namespace}, elements...)...)
}

// read reads what _latest.json names. The list of the cluster must be there, or follow.
func (l *lake) read(_ context.Context, namespace, inventory string) (content, error) {
	lists, err := l.list(namespace)
	if err != nil {
		return content{}, err
	}
	latest, err := l.pointer(namespace, inventory)
	if err != nil {
		return content{}, err
	}
	switch listed := lists[inventory]; {
	case listed.Generation > latest.Generation:
		return content{}, brokenf("the list has generation %d, and the pointer is at %d", listed.Generation, latest.Generation)
	case listed.Generation < latest.Generation:
		return content{}, fmt.Errorf("the list has generation %d, and the pointer is at %d", listed.Generation, latest.Generation)
	}
	return l.open(namespace, latest)
}

// pointed reads what the pointers of the inventories name.
func (l *lake) pointed(namespace string, inventories []string) (map[string]content, error) {
	contents := map[string]content{}
	for _, inventory := range inventories {
		latest, err := l.pointer(namespace, inventory)
		if err != nil {
			return nil, brokenf("%v", err)
		}
		if contents[inventory], err = l.open(namespace, latest); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// listed reads what the cluster's list names.
func (l *lake) listed(namespace string, inventories []string) (map[string]content, error) {
	lists, err := l.list(namespace)
	if err != nil || len(lists) != len(inventories) {
		return nil, brokenf("%d inventories are listed: %v", len(lists), err)
	}
	contents := map[string]content{}
	for name, listed := range lists {
		if contents[name], err = l.open(namespace, listed); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

func (l *lake) pointer(namespace, inventory string) (latest current, err error) {
	text, err := os.ReadFile(l.path(namespace, "inventory", "cluster="+clusterName, "ns="+namespace, "name="+inventory, "_latest.json"))
	if err != nil {
		return latest, err
	}
	if err := json.Unmarshal(text, &latest); err != nil || latest.SHA256 == "" {
		return latest, brokenf("a torn pointer: %v: %s", err, text)
	}
	return latest, nil
}

// list returns the cluster's list, by the inventories' names.
func (l *lake) list(namespace string) (map[string]current, error) {
	text, err := os.ReadFile(l.path(namespace, "current", "cluster="+clusterName, "_inventories.json"))
	if err != nil {
		return nil, err
	}
	var list struct{ Inventories []current }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, brokenf("a torn list: %v: %s", err, text)
	}
	lists := map[string]current{}
	for _, c := range list.Inventories {
		lists[c.Name] = c
	}
	return lists, nil
}

// open reads what is current.
func (l *lake) open(namespace string, now current) (content, error) {
	data, err := os.ReadFile(l.path(namespace, now.Data))
	if err != nil {
		return content{}, brokenf("what is named is not there: %v", err)
	}
	if digest := sha256.Sum256(data); now.SHA256 != "" && hex.EncodeToString(digest[:]) != now.SHA256 {
		return content{}, brokenf("%s, which is not what the pointer says", now.Data)
	}
	c := content{Generation: now.Generation, Hash: now.ContentHash, Confirmed: now.ConfirmedAt}
	if c.Rows, err = readParquet(data, now.Generation); err != nil {
		return content{}, brokenf("%s: %v", now.Data, err)
	}
	if now.Rows != int64(len(c.Rows)) {
		return c, brokenf("%d rows, of which it says that they are %d", len(c.Rows), now.Rows)
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
