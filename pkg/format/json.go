package format

import (
	"bufio"
	"strconv"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// TimeLayout is how export times are written: UTC, to the millisecond.
const TimeLayout = "2006-01-02T15:04:05.000Z07:00"

// writeJSON writes a row a line, for JSON inside of one document. A failed
// write shows in the next one and in Flush.
func writeJSON(w *bufio.Writer, f Format, snapshot *inventory.Snapshot, options Options) error {
	if f == JSON {
		if _, err := w.Write(appendHead(nil, snapshot, options)); err != nil {
			return err
		}
	}
	of := snapshot.Inventory()
	var buf []byte
	first := true
	for e := range orderOf(snapshot).all {
		buf = buf[:0]
		if f == JSON && !first {
			buf = append(buf, ',', '\n')
		} else if f == JSON {
			buf = append(buf, '\n')
		}
		first = false
		buf = AppendRow(buf, of, e)
		if f == NDJSON {
			buf = append(buf, '\n')
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	if f == JSON {
		if snapshot.Len() > 0 {
			w.WriteByte('\n')
		}
		w.WriteString("]}\n")
	}
	return nil
}

// appendHead appends the document up to, and with, the bracket before the rows.
func appendHead(buf []byte, snapshot *inventory.Snapshot, options Options) []byte {
	of := snapshot.Inventory()
	buf = append(buf, `{"apiVersion":"`+APIVersion+`","kind":"`+Kind+`","metadata":{"cluster":`...)
	buf = inventory.AppendJSONString(buf, of.Cluster)
	if of.Namespace != "" {
		buf = append(buf, `,"namespace":`...)
		buf = inventory.AppendJSONString(buf, of.Namespace)
	}
	buf = append(buf, `,"name":`...)
	buf = inventory.AppendJSONString(buf, of.Name)
	if options.Generation != 0 {
		buf = append(buf, `,"generation":`...)
		buf = strconv.AppendInt(buf, options.Generation, 10)
	}
	buf = append(buf, `,"contentHash":`...)
	buf = inventory.AppendJSONString(buf, snapshot.Hash().String())
	buf = append(buf, `,"rows":`...)
	buf = strconv.AppendInt(buf, int64(snapshot.Len()), 10)
	if !options.Time.IsZero() {
		buf = append(buf, `,"exportedAt":"`...)
		buf = options.Time.AppendFormat(buf, TimeLayout)
		buf = append(buf, '"')
	}
	return append(buf, `},"rows":[`...)
}

// AppendRow appends the row as one JSON object on one line. Its members are
// those of an InventoryRow, with key for the second half of its name.
func AppendRow(buf []byte, of *inventory.Inventory, e *inventory.Entry) []byte {
	return appendContent(appendIdentity(buf, of, e), e.Row)
}

func appendContent(buf []byte, row *inventory.Row) []byte {
	buf = append(buf, `,"labels":`...)
	buf = append(buf, row.Labels()...)
	buf = append(buf, `,"attributes":`...)
	buf = append(buf, row.Attributes()...)
	return append(buf, '}')
}

// AppendIdentity appends what AppendRow does, without labels and attributes.
func AppendIdentity(buf []byte, of *inventory.Inventory, e *inventory.Entry) []byte {
	return append(appendIdentity(buf, of, e), '}')
}

func appendIdentity(buf []byte, of *inventory.Inventory, e *inventory.Entry) []byte {
	buf = appendKey(buf, e.Key)
	buf = appendCommon(buf, of, e.Row.Target(), e.Row.Resource())
	return appendObject(buf, e.Row)
}

func appendKey(buf []byte, key inventory.Key) []byte {
	buf = append(buf, `{"key":"`...)
	buf, _ = key.AppendText(buf)
	return append(buf, '"')
}

// appendCommon appends what all rows of a target and a resource have.
func appendCommon(buf []byte, of *inventory.Inventory, target inventory.TargetRef, resource *inventory.Resource) []byte {
	buf = appendMember(buf, `,"cluster":`, of.Cluster)
	if of.Namespace != "" {
		buf = appendMember(buf, `,"inventoryNamespace":`, of.Namespace)
	}
	buf = appendMember(buf, `,"inventory":`, of.Name)
	buf = appendTarget(buf, target)
	buf = appendMember(buf, `,"source":{"group":`, resource.Group)
	buf = appendMember(buf, `,"version":`, resource.Version)
	buf = appendMember(buf, `,"resource":`, resource.Resource)
	return appendMember(buf, `,"kind":`, resource.Kind)
}

func appendTarget(buf []byte, target inventory.TargetRef) []byte {
	buf = append(buf, `,"target":{`...)
	if target.Namespace != "" {
		buf = appendMember(buf, `"namespace":`, target.Namespace)
		buf = append(buf, ',')
	}
	buf = appendMember(buf, `"name":`, target.Name)
	return append(buf, '}')
}

// appendObject appends what is of the row's object alone.
func appendObject(buf []byte, row *inventory.Row) []byte {
	if row.Namespace() != "" {
		buf = appendMember(buf, `,"namespace":`, row.Namespace())
	}
	buf = appendMember(buf, `,"name":`, row.Name())
	buf = appendMember(buf, `,"uid":`, row.UID())
	if created := row.Created(); !created.IsZero() {
		buf = append(buf, `,"creationTimestamp":"`...)
		buf = created.AppendFormat(buf, time.RFC3339)
		buf = append(buf, '"')
	}
	return append(buf, '}')
}

// appendMember appends a member's name, as it stands with what comes before it,
// and its value.
func appendMember(buf []byte, name, value string) []byte {
	return inventory.AppendJSONString(append(buf, name...), value)
}
