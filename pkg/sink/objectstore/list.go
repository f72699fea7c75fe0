package objectstore

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const listKind = "CurrentInventories"

// list is what is current of a cluster: one object from which readers learn of
// all its inventories. It follows the pointers, each of which is the commit of its
// inventory, and never goes back.
type list struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Cluster    string `json:"cluster"`
	// Inventories are in the order of their namespaces and names.
	Inventories []listed `json:"inventories"`
}

// listed is what a list says of an inventory: what its pointer says that readers
// of many need. One that is Forgotten is there to fence.
type listed struct {
	Namespace   string        `json:"namespace,omitempty"`
	Name        string        `json:"name"`
	Generation  int64         `json:"generation"`
	ContentHash string        `json:"contentHash,omitempty"`
	Rows        int64         `json:"rows"`
	ExportedAt  time.Time     `json:"exportedAt"`
	Format      format.Format `json:"format,omitempty"`
	// Data is the key of the data below the sink's prefix.
	Data      string `json:"data,omitempty"`
	Forgotten bool   `json:"forgotten,omitempty"`
}

func (l *listed) ref() inventory.Ref { return inventory.Ref{Namespace: l.Namespace, Name: l.Name} }

// listed returns what the list says of the pointer.
func (p *pointer) listed() listed {
	return listed{
		Namespace: p.Namespace, Name: p.Name, Generation: p.Generation, ContentHash: p.ContentHash, Rows: p.Rows,
		ExportedAt: p.ExportedAt, Format: p.Format, Data: p.Data, Forgotten: p.Forgotten,
	}
}

// fenceFor is how long a list remembers what was forgotten: longer than a process
// that was paused comes back to write what it had read before. The pointer
// remembers for ever.
const fenceFor = 7 * 24 * time.Hour

// merge returns the list with the entries of a higher generation, and whether that
// is another. It changes nothing that others see.
func (l *list) merge(entries []listed) (*list, bool) {
	merged := map[inventory.Ref]listed{}
	for _, e := range l.Inventories {
		merged[e.ref()] = e
	}
	changed := false
	for _, e := range entries {
		if held, ok := merged[e.ref()]; !ok || held.Generation < e.Generation {
			merged[e.ref()], changed = e, true
		}
	}
	if !changed {
		return l, false
	}
	var newest time.Time
	for _, e := range merged {
		if e.ExportedAt.After(newest) {
			newest = e.ExportedAt
		}
	}
	next := *l
	next.Inventories = make([]listed, 0, len(merged))
	for _, e := range merged {
		if !e.Forgotten || newest.Sub(e.ExportedAt) < fenceFor {
			next.Inventories = append(next.Inventories, e)
		}
	}
	slices.SortFunc(next.Inventories, func(a, b listed) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return &next, true
}

// links returns the symlink manifest of the list's Parquet objects, for Hive's
// SymlinkTextInputFormat: the address of one a line.
func (l *list) links(address func(key string) string) []byte {
	var text strings.Builder
	for _, e := range l.Inventories {
		if e.Format == format.Parquet && !e.Forgotten {
			text.WriteString(address(e.Data))
			text.WriteByte('\n')
		}
	}
	return []byte(text.String())
}

// maxList bounds what is read of a list: a quarter of a million inventories.
const maxList = 64 << 20

// parseList reads the list of the cluster and checks that it is one.
func parseList(data []byte, cluster string) (*list, error) {
	l := &list{}
	if len(data) > maxList {
		return nil, fmt.Errorf("it is larger than %d bytes", maxList)
	}
	if err := json.Unmarshal(data, l); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if l.APIVersion != format.APIVersion || l.Kind != listKind {
		return nil, fmt.Errorf("it is not of kind %s in %s", listKind, format.APIVersion)
	}
	if l.Cluster != cluster {
		return nil, errors.New("it is that of another cluster")
	}
	for _, e := range l.Inventories {
		folder, err := folderOf(&inventory.Inventory{Cluster: cluster, Ref: e.ref()})
		if err != nil || e.Generation <= 0 || e.Generation > sink.MaxGeneration ||
			!e.Forgotten && (!stored(e.Format) || e.Data != dataKey(folder, e.Generation, e.Format)) {
			return nil, fmt.Errorf("what it says of inventory %q in namespace %q is not what is exported there", e.Name, e.Namespace)
		}
	}
	return l, nil
}

// currentFolder returns the folder of the cluster's list, without prefix. It is a
// partition of a table of what is current, in which Hive's readers see the links
// alone.
func currentFolder(cluster string) string { return "current/cluster=" + cluster + "/" }

func listKey(cluster string) string { return currentFolder(cluster) + "_inventories.json" }

func linksKey(cluster string) string { return currentFolder(cluster) + "files.txt" }
