package sinktest

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Content is what a reader finds of an inventory.
type Content struct {
	Generation int64
	// Rows are the attributes, as JSON, by row key.
	Rows map[string]string
}

// Snapshots is a destination of whole snapshots under test, empty at first.
type Snapshots interface {
	// Open returns a store as another process would have it. The suite closes it.
	Open(t *testing.T) sink.SnapshotStore
	// Read returns what somebody reads who knows the layout but not the sink's
	// code, or nil if there is nothing. It may be called while stores write.
	Read(ctx context.Context, of *inventory.Inventory) (*Content, error)
}

// Interruption is how a step of a store goes wrong.
type Interruption int

const (
	// Refused steps have no effect.
	Refused Interruption = iota
	// Cut steps have a part of their effect, if they can.
	Cut
	// Unanswered steps have all of their effect, but the sink does not learn it.
	Unanswered
)

// Faults are what makes a destination fail on cue.
type Faults interface {
	// Interrupt makes the steps fail that sinks do from now on after the first n:
	// a step is an access to the destination, or a part of it. Negative n ends it.
	Interrupt(n int, how Interruption)
	// Interrupted reports whether a step has failed since Interrupt was called.
	Interrupted() bool
	// Written returns how many bytes sinks have written so far.
	Written() int64
}

// Faulty is a destination of snapshots that fails on cue.
type Faulty interface {
	Snapshots
	Faults
}

// Relational is a destination of rows under test, empty at first. If it has
// Faults, the suite makes it fail too.
type Relational interface {
	// Open returns a store as another process would have it. The suite closes it.
	Open(t *testing.T) sink.RelationalStore
	// Read returns what somebody reads who knows the tables but not the sink's
	// code, or nil if there is nothing. It may be called while stores write.
	Read(ctx context.Context, of *inventory.Inventory) (*Content, error)
}

// Events is a destination of events under test, empty at first. If it has
// Faults, the suite makes it fail too.
type Events interface {
	// Open returns an emitter as another process would have it. The suite closes
	// it.
	Open(t *testing.T) sink.EventEmitter
	// Read returns what a consumer makes of all events that are there, under the
	// generation of the newest mark that has a hash, or nil if there is none.
	Read(ctx context.Context, of *inventory.Inventory) (*Content, error)
	// Log returns the events of rows that came since the destination was made, in
	// their order, also those that others have taken the place of.
	Log(ctx context.Context, of *inventory.Inventory) ([]Event, error)
}

// Event is what a consumer is told of a row.
type Event struct {
	// ID of the event, and Key of the row.
	ID, Key string
	// Attributes as JSON; empty: the row is deleted.
	Attributes string
}

// contentOf returns what a reader should find of a snapshot.
func contentOf(snapshot *inventory.Snapshot, generation int64) *Content {
	c := &Content{Generation: generation, Rows: map[string]string{}}
	for e := range snapshot.All() {
		c.Rows[e.Key.String()] = e.Row.Attributes()
	}
	return c
}

// Differs returns how the rows that a reader sees differ from those of the
// snapshot; empty: they do not.
func Differs(snapshot *inventory.Snapshot, got *Content) string {
	want := plain(contentOf(snapshot, 0))
	if got = plain(got); got == nil {
		got = &Content{}
	}
	if maps.Equal(want.Rows, got.Rows) { // which is faster
		return ""
	}
	return cmp.Diff(want.Rows, got.Rows)
}
