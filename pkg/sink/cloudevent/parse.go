package cloudevent

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// ParseMark reads the data of a marker of the inventory.
func ParseMark(data []byte, of *inventory.Inventory) (sink.Mark, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return sink.Mark{}, fmt.Errorf("parse mark: %w", err)
	}
	if d.Cluster != of.Cluster || d.Namespace != of.Namespace || d.Name != of.Name || d.Generation <= 0 || d.Rows < 0 {
		return sink.Mark{}, fmt.Errorf("parse mark: it is generation %d of inventory %s of cluster %s", d.Generation, inventory.Ref{Namespace: d.Namespace, Name: d.Name}, d.Cluster)
	}
	return sink.Mark{
		Generation: d.Generation, Hash: d.ContentHash, Schema: d.Schema, Rows: d.Rows, Time: d.Time, Forgotten: d.Forgotten,
	}, nil
}

// ParseRow reads the attributes of an event of a row, and whether the row is
// there. A row that is gone has no hash.
func ParseRow(attribute func(name string) string) (held inventory.Held, there bool, err error) {
	kind := attribute("type")
	if kind != RowUpserted && kind != RowDeleted {
		return held, false, fmt.Errorf("parse event: type %q is not that of a row", kind)
	}
	var ok bool
	if held.Key, ok = inventory.ParseKey(attribute("subject")); !ok {
		return held, false, fmt.Errorf("parse event: subject %q is not a row's key", attribute("subject"))
	}
	if held.Origin, ok = parseOrigin(attribute("target"), attribute("kind")); !ok {
		return held, false, fmt.Errorf("parse event of row %s: target %q or kind %q is malformed", held.Key, attribute("target"), attribute("kind"))
	}
	if kind == RowDeleted {
		return held, false, nil
	}
	if n, err := hex.Decode(held.Hash[:], []byte(attribute("rowhash"))[:min(len(attribute("rowhash")), 2*len(held.Hash))]); err != nil || n != len(held.Hash) {
		return held, false, fmt.Errorf("parse event of row %s: rowhash %q is not one", held.Key, attribute("rowhash"))
	}
	return held, true, nil
}

func parseOrigin(target, kind string) (o inventory.Origin, ok bool) {
	if namespace, name, found := strings.Cut(target, "/"); found {
		target = name
		if o.Target.Namespace, ok = Unescape(namespace); !ok {
			return o, false
		}
	}
	if o.Target.Name, ok = Unescape(target); !ok {
		return o, false
	}
	kind, group, found := strings.Cut(kind, ".")
	if found {
		if o.Group, ok = Unescape(group); !ok {
			return o, false
		}
	}
	o.Kind, ok = Unescape(kind)
	return o, ok
}
