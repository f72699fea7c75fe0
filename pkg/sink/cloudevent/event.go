package cloudevent

import (
	"encoding/hex"
	"strconv"
	"time"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

// The types of events.
const (
	// RowUpserted has the row as its data.
	RowUpserted = "io.kollect.row.upserted.v1"
	// RowDeleted has no data.
	RowDeleted = "io.kollect.row.deleted.v1"
	// SnapshotBegin and SnapshotEnd stand around the events of all rows of an
	// inventory. What a consumer knows that did not come in between is gone.
	SnapshotBegin = "io.kollect.snapshot.begin.v1"
	SnapshotEnd   = "io.kollect.snapshot.end.v1"
	// Checkpoint says what the destination holds.
	Checkpoint = "io.kollect.checkpoint.v1"
)

// ContentType is that of the data of all events that have any.
const ContentType = "application/json"

// version rises when what is in an event changes for the same row.
const version = 1

// Schema identifies what events of the inventory's rows are like.
func Schema(of *inventory.Inventory) string {
	return "event/" + strconv.Itoa(version) + "+" + format.NDJSON.Schema(of)
}

// MaxAttributes is how many an event has at most.
const MaxAttributes = 13

// Event is a CloudEvent. That of a row, and what it yields, are valid until the export
// makes the next one of a row, but for the shared values.
type Event struct {
	attributes [MaxAttributes]attribute
	n          int
	size       int
	// Data is JSON; empty: there is none.
	Data []byte
}

type attribute struct {
	name  string
	value Value
}

// Value is that of an attribute: printable ASCII without spaces.
type Value struct {
	text  string // of one that is shared
	bytes []byte
}

func shared(text string) Value { return Value{text, []byte(text)} }

// Shared reports whether many events of the export have the value, which never
// changes.
func (v Value) Shared() bool { return v.text != "" }

// Bytes returns the value, which must not be changed.
func (v Value) Bytes() []byte { return v.bytes }

// String returns the value, which stays.
func (v Value) String() string {
	if v.text != "" {
		return v.text
	}
	return string(v.bytes)
}

func (e *Event) add(name string, value Value) {
	e.attributes[e.n] = attribute{name, value}
	e.n++
	e.size += len(name) + len(value.bytes)
}

// Attributes yields the names and values, each once. Names are of lower-case
// letters and digits.
func (e *Event) Attributes(yield func(name string, value Value) bool) {
	for i := range e.n {
		if a := &e.attributes[i]; !yield(a.name, a.value) {
			return
		}
	}
}

// Attribute returns the i-th name and value that Attributes yields.
func (e *Event) Attribute(i int) (name string, value Value) {
	a := &e.attributes[i]
	return a.name, a.value
}

// Len returns how many attributes there are. Events of different kinds have different
// numbers.
func (e *Event) Len() int { return e.n }

// Size returns how long the attributes' names and values are, all together.
func (e *Event) Size() int { return e.size }

// Is reports whether the event is of the type.
func (e *Event) Is(kind string) bool { return e.Type() == kind }

// Type returns the event's.
func (e *Event) Type() string { return e.attributes[2].value.text }

// ID is unique.
func (e *Event) ID() []byte { return e.attributes[IDAttribute].value.bytes }

// Subject is the text of the key of a row's event; empty for a marker.
func (e *Event) Subject() []byte {
	if e.n <= CommonAttributes {
		return nil
	}
	return e.attributes[CommonAttributes].value.bytes
}

// Export makes the events of one export. Its methods may be called by one
// goroutine at a time.
type Export struct {
	of         *inventory.Inventory
	source     Value
	id         string // without the sequence
	cluster    Value
	generation Value
	time       Value
	schema     Value
	rows       string // the path of a row at the API server, without its key
	targets    map[inventory.TargetRef]Value
	kinds      map[inventory.Origin]Value
	appender   *format.Appender

	event Event  // the last one of a row
	texts []byte // of that one
	data  []byte // of that one
	begun int    // the size of what that one begins with, without the ID
}

// NewExport returns the export of the inventory under a generation that no other
// export of it has had.
func NewExport(of *inventory.Inventory, generation int64, at time.Time, schema string) *Export {
	namespace, rows := "_cluster", "/clusterinventoryrows/"
	if of.Namespace != "" {
		namespace = Segment(of.Namespace)
		rows = "/namespaces/" + namespace + "/inventoryrows/"
	}
	place := Segment(of.Cluster) + "/" + namespace + "/" + Segment(of.Name)
	number := strconv.FormatInt(generation, 10)
	return &Export{
		of:         of,
		source:     shared("/kollect/" + place),
		id:         place + "/" + number + "/",
		cluster:    shared(Segment(of.Cluster)),
		generation: shared(number),
		time:       shared(at.UTC().Format(format.TimeLayout)),
		schema:     shared(schema),
		rows:       "/apis/" + inventoryv1alpha1.SchemeGroupVersion.String() + rows + Segment(of.Name) + ".",
		targets:    map[inventory.TargetRef]Value{},
		kinds:      map[inventory.Origin]Value{},
		appender:   format.NewAppender(of),
	}
}

var version1 = shared("1.0")

// begin adds what all events have. id is unique.
func (x *Export) begin(e *Event, id []byte, kind Value) {
	e.add("specversion", version1)
	e.add("id", Value{bytes: id})
	e.add("type", kind)
	e.add("source", x.source)
	e.add("time", x.time)
	e.add("cluster", x.cluster)
	e.add("generation", x.generation)
}

// CommonAttributes is how many attributes are first and the same in all events of an
// export that have the same type, but for the ID, which is the one at IDAttribute.
const (
	CommonAttributes = 7
	IDAttribute      = 1
)

// Upserted returns the event of a row that is new or has changed. sequence is
// of no other event of the export.
func (x *Export) Upserted(sequence int64, key inventory.Key, row *inventory.Row) *Event {
	e := x.upserted(sequence, key, row)
	x.data = x.appender.AppendRow(x.data[:0], &inventory.Entry{Key: key, Row: row})
	e.Data = x.data
	return e
}

// Referred is Upserted without the labels and attributes of the row, but with
// the path at which the cluster's API server has them as attribute dataref, after
// the extension of CloudEvents of that name.
func (x *Export) Referred(sequence int64, key inventory.Key, row *inventory.Row) *Event {
	e := x.upserted(sequence, key, row)
	e.add("dataref", Value{bytes: []byte(x.rows + key.String())})
	x.data = format.AppendIdentity(x.data[:0], x.of, &inventory.Entry{Key: key, Row: row})
	e.Data = x.data
	return e
}

func (x *Export) upserted(sequence int64, key inventory.Key, row *inventory.Row) *Event {
	e := x.row(sequence, upserted, key, row.Origin())
	hash, from := row.Hash(), len(x.texts)
	x.texts = hex.AppendEncode(x.texts, hash[:])
	e.add("rowhash", Value{bytes: x.texts[from:]})
	e.add("schemaversion", x.schema)
	return e
}

// Deleted returns the event of a row that is gone.
func (x *Export) Deleted(sequence int64, key inventory.Key, origin inventory.Origin) *Event {
	return x.row(sequence, deleted, key, origin)
}

var upserted, deleted = shared(RowUpserted), shared(RowDeleted)

func (x *Export) row(sequence int64, kind Value, key inventory.Key, origin inventory.Origin) *Event {
	x.texts = strconv.AppendInt(append(x.texts[:0], x.id...), sequence, 10)
	id := len(x.texts)
	x.texts, _ = key.AppendText(x.texts) // never fails
	e := x.beginRow(x.texts[:id], kind)
	e.add("subject", Value{bytes: x.texts[id:]})
	e.add("target", x.target(origin.Target))
	e.add("kind", x.kind(origin))
	return e
}

// beginRow begins the event of a row. Most begin as the one before, but for the ID.
func (x *Export) beginRow(id []byte, kind Value) *Event {
	e := &x.event
	e.Data = nil
	if e.n < CommonAttributes || !e.Is(kind.text) {
		e.n, e.size = 0, 0
		x.begin(e, id, kind)
		x.begun = e.size - len(id)
		return e
	}
	e.n, e.size = CommonAttributes, x.begun+len(id)
	e.attributes[IDAttribute].value.bytes = id
	return e
}

func (x *Export) target(t inventory.TargetRef) Value {
	value, known := x.targets[t]
	if !known {
		text := Segment(t.Name)
		if t.Namespace != "" {
			text = Segment(t.Namespace) + "/" + text
		}
		value = shared(text)
		x.targets[t] = value
	}
	return value
}

func (x *Export) kind(o inventory.Origin) Value {
	o.Target = inventory.TargetRef{}
	value, known := x.kinds[o]
	if !known {
		text := Token(o.Kind)
		if o.Group != "" {
			text += "." + Segment(o.Group)
		}
		value = shared(text)
		x.kinds[o] = value
	}
	return value
}
