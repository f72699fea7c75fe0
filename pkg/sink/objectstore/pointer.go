package objectstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// The kinds of the objects that describe an export.
const (
	manifestKind = "InventoryManifest"
	pointerKind  = "LatestInventory"
)

// manifest describes one generation. It is written once.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Cluster    string `json:"cluster"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Generation int64  `json:"generation"`
	// ContentHash is the inventory's; SHA256 is that of the bytes of the data.
	ContentHash string        `json:"contentHash"`
	Rows        int64         `json:"rows"`
	ExportedAt  time.Time     `json:"exportedAt"`
	Format      format.Format `json:"format"`
	Schema      string        `json:"schema"`
	// Data is the key of the data below the sink's prefix.
	Data   string `json:"data,omitempty"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// pointer is the manifest of the current generation, and when its content was
// last known to be current. One that is Forgotten names no data: it is there to
// fence.
type pointer struct {
	manifest
	ConfirmedAt time.Time `json:"confirmedAt"`
	Forgotten   bool      `json:"forgotten,omitempty"`
}

// forgotten returns the pointer of an inventory of which nothing is left.
func forgotten(of *inventory.Inventory, generation int64, at time.Time) *pointer {
	at = at.UTC().Truncate(time.Millisecond)
	return &pointer{
		manifest: manifest{
			APIVersion: format.APIVersion, Kind: pointerKind,
			Cluster: of.Cluster, Namespace: of.Namespace, Name: of.Name, Generation: generation, ExportedAt: at,
		},
		ConfirmedAt: at, Forgotten: true,
	}
}

func (p *pointer) mark() sink.Mark {
	if p.Forgotten {
		return sink.Mark{Generation: p.Generation, Time: p.ConfirmedAt, Forgotten: true}
	}
	return sink.Mark{Generation: p.Generation, Hash: p.ContentHash, Schema: p.Schema, Rows: p.Rows, Time: p.ConfirmedAt}
}

// encode returns the JSON of a manifest or pointer, for people to read too.
func encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	return append(data, '\n'), err
}

// parsePointer reads the pointer of the inventory in folder and checks that it
// is one.
func parsePointer(data []byte, of *inventory.Inventory, folder string) (*pointer, error) {
	p := &pointer{}
	if len(data) > maxPointer {
		return nil, fmt.Errorf("it is larger than %d bytes", maxPointer)
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, errors.New("it is not JSON")
	}
	switch {
	case p.APIVersion != format.APIVersion || p.Kind != pointerKind:
		return nil, fmt.Errorf("it is not of kind %s in %s", pointerKind, format.APIVersion)
	case p.Cluster != of.Cluster || p.Namespace != of.Namespace || p.Name != of.Name:
		return nil, errors.New("it is that of another inventory")
	case p.Generation <= 0 || p.Rows < 0 || p.ContentHash == "" && !p.Forgotten || p.ConfirmedAt.IsZero():
		return nil, errors.New("its generation, rows, contentHash or confirmedAt is missing")
	case p.Generation > sink.MaxGeneration:
		return nil, fmt.Errorf("its generation is above %d, which no export reaches", sink.MaxGeneration)
	case p.Forgotten:
		if p.Data != "" || p.Rows != 0 {
			return nil, errors.New("it names data though it is forgotten")
		}
	case !stored(p.Format) || p.Data != dataKey(folder, p.Generation, p.Format):
		return nil, errors.New("its data is not that of its generation")
	}
	return p, nil
}

// stored reports whether f is one that a store writes: not all formats are.
func stored(f format.Format) bool {
	return f == format.JSON || f == format.NDJSON || f == format.Parquet
}

// clusterNamespace takes the namespace's place in keys of cluster inventories.
const clusterNamespace = "_cluster"

var partPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// folderOf returns the folder of the inventory's objects, without prefix.
func folderOf(of *inventory.Inventory) (string, error) {
	namespace := of.Namespace
	if namespace == "" {
		namespace = clusterNamespace
	} else if !partPattern.MatchString(namespace) {
		return "", sink.Permanent(fmt.Errorf("name the export: namespace %q is not valid in a path", namespace))
	}
	if !partPattern.MatchString(of.Cluster) {
		return "", sink.Permanent(fmt.Errorf("name the export: cluster %q is not valid in a path: set spec.cluster of the inventory, or --cluster-name of the server, to letters, digits, '-', '_' and '.'", of.Cluster))
	}
	if !partPattern.MatchString(of.Name) {
		return "", sink.Permanent(fmt.Errorf("name the export: inventory %q is not valid in a path", of.Name))
	}
	return clusterFolder(of.Cluster) + namespacePrefix + namespace + "/" + namePrefix + of.Name + "/", nil
}

// What the names of folders start with.
const (
	namespacePrefix = "ns="
	namePrefix      = "name="
)

// clusterFolder returns the folder of the cluster's folders, without prefix.
func clusterFolder(cluster string) string { return "inventory/cluster=" + cluster + "/" }

const (
	dataPrefix     = "generation="
	manifestFolder = "_manifests/"
	temporaryMark  = ".tmp-"
)

func dataKey(folder string, generation int64, f format.Format) string {
	return folder + dataPrefix + strconv.FormatInt(generation, 10) + "." + f.Extension()
}

func manifestKey(folder string, generation int64) string {
	return folder + manifestFolder + strconv.FormatInt(generation, 10) + ".json"
}

func pointerKey(folder string) string { return folder + "_latest.json" }

// isData reports whether the key is that of an export's data. All other objects are
// small and read or replaced often: cheap storage, which bills a least size, a least
// time and each access, would make them dear.
func isData(key string) bool { return strings.HasPrefix(path.Base(key), dataPrefix) }

// generationOf returns which generation the object at key, below the folder, is
// a part of. Other objects have none.
func generationOf(key string) (generation int64, isManifest, ok bool) {
	name, isManifest := strings.CutPrefix(key, manifestFolder)
	if !isManifest {
		if name, ok = strings.CutPrefix(key, dataPrefix); !ok {
			return 0, false, false
		}
	}
	number, extension, _ := strings.Cut(name, ".")
	if isManifest && extension != "json" || !isManifest && !stored(format.Format(extension)) {
		return 0, false, false
	}
	generation, err := strconv.ParseInt(number, 10, 64)
	return generation, isManifest, err == nil && generation > 0 && strconv.FormatInt(generation, 10) == number
}
