// Package sink defines the roles that a destination of snapshots can have, and
// the errors by which it says what the exporter should do next. It knows no
// particular destination and holds no state. Its invariant: a destination never
// goes from a newer generation to an older one.
package sink

import (
	"context"
	"fmt"
	"iter"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// Export is one content of one inventory on its way to a destination.
type Export struct {
	Snapshot *inventory.Snapshot
	// Generation is the fencing token: it only rises, for one cluster and
	// inventory, and stands for one content.
	Generation int64
	// Time of the export.
	Time time.Time
	// Base is what the destination held before the snapshot was taken, if that is
	// known. Whoever has exported since may have known more.
	Base *Mark
}

// Unmoved returns ErrFenced if the destination holds another generation than the
// export goes out from. 0 is nothing.
func (e Export) Unmoved(held int64) error {
	if e.Base != nil && e.Base.Generation != held {
		return fmt.Errorf("generation %d is current, and not %d any more: %w", held, e.Base.Generation, ErrFenced)
	}
	return nil
}

// Mark is what a destination says that it holds of an inventory. The zero Mark
// means nothing.
type Mark struct {
	Generation int64
	// Hash is the content hash, as inventory.ContentHash.String returns it. It is
	// empty if only a part of what changed is there; see Delta.Begun.
	Hash string
	// Schema identifies the columns and the encoding of what is held, so that
	// the same content is written again when those change.
	Schema string
	Rows   int64
	// Time is when the content was last written or confirmed.
	Time time.Time
	// Forgotten says that all that was held was removed by Store.Forget under
	// Generation: there is no row and no hash. The mark stays, that an export which
	// went out before is still fenced.
	Forgotten bool
}

// MaxGeneration is the highest generation that a destination takes: far above what can
// be counted, and far below where counting on would overflow. Readers that take numbers
// for floats still tell it exactly.
const MaxGeneration int64 = 1 << 53

// StaleAfter is how old a Mark is when its inventory counts as stale where nobody
// says otherwise: ten times how often unchanged content is confirmed by default.
const StaleAfter = 5 * time.Minute

// Store is what destinations of all roles have in common.
//
// Methods may be called from one goroutine at a time for an inventory, and
// concurrently for different ones. An error is worth another try unless
// Permanent wraps it. Errors have no secrets in them.
type Store interface {
	// Mark reads from the destination what it holds of the inventory. It costs
	// O(1), however many rows there are.
	Mark(ctx context.Context, of *inventory.Inventory) (Mark, error)
	// Confirm notes, at a cost of O(1), that what is held under mark was still
	// current at the given time. It returns ErrFenced if the destination holds
	// something else.
	Confirm(ctx context.Context, of *inventory.Inventory, mark Mark, at time.Time) (Mark, error)
	// Inventories returns, in any order, the inventories of a cluster of which the
	// destination holds something: rows, or a mark that is not Forgotten. None is
	// not an error. It costs no more than O(what is held of that cluster).
	Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error)
	// Forget removes all that is held of the inventory, of that cluster alone, and
	// leaves a mark that is Forgotten, of that generation and time, also if nothing
	// was held. Only the destination's own record of what was (history that it keeps
	// of a subject or topic, rows that are marked as deleted) may stay. An export goes
	// on from that mark as from an empty destination.
	//
	// It is fenced as an export is: it returns ErrFenced, and changes nothing, if the
	// destination holds this generation or a newer one, unless that is Forgotten
	// already; then it only finishes what one that was cut short has left. If it is
	// cut short, readers see less of the content than there was, or none; Mark has no
	// hash then, or all that there was, and another Forget above its generation
	// removes the rest.
	//
	// It uses no more of the inventory than its Cluster, Namespace and Name.
	Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error
	// Schema returns what Mark.Schema would be for the inventory.
	Schema(of *inventory.Inventory) string
	// Close frees what the store holds. No call may be in progress.
	Close() error
}

// SnapshotStore is a destination that holds whole snapshots (ADR-0401): what is
// absent from the newest one is gone.
type SnapshotStore interface {
	Store
	// Write replaces what is held by the snapshot. A reader sees the old or the
	// new content, never a part, even if the call is cut short. It returns
	// ErrFenced, and changes nothing that readers see, if the destination holds
	// this generation or a newer one, or another than that of the export's base, as
	// far as it can be compared. The returned mark is what is held now.
	Write(ctx context.Context, export Export) (Mark, error)
}

// Delta brings a destination from what it holds of an inventory to what it is to
// hold.
type Delta struct {
	Inventory *inventory.Inventory
	// Base is what the destination holds. The updates are right for that alone. If
	// no rows are held they are of any schema, and Base says that of the delta.
	Base Mark
	// Generation is the fencing token, above that of Base.
	Generation int64
	// Time of the export.
	Time time.Time
	// Hash, as inventory.ContentHash.String returns it, Schema and Rows are of what
	// is held once the delta is applied. Schema is what Keeper.Schema returns, or
	// empty if rows that are left alone are of another.
	Hash   string
	Schema string
	Rows   int64
	// Updates are in the order of keys. They can be read any number of times.
	Updates iter.Seq[inventory.Update]
}

// Mark is what the destination holds once the delta is applied.
func (d Delta) Mark() Mark {
	return Mark{Generation: d.Generation, Hash: d.Hash, Schema: d.Schema, Rows: d.Rows, Time: d.Time}
}

// First reports whether the destination holds no row, neither of an export nor of
// a part of one.
func (d Delta) First() bool { return d.Base.Generation == 0 || d.Base.Forgotten }

// Begun is what the destination holds while a part of the updates is there: no
// content that has a hash, and nothing of one schema if that changes.
func (d Delta) Begun() Mark {
	m := d.Base
	m.Generation, m.Hash, m.Forgotten = d.Generation, "", false
	if m.Schema != d.Schema {
		m.Schema = ""
	}
	return m
}

// Keeper is what a destination has in common that holds rows one by one, and is
// told what changes.
type Keeper interface {
	Store
	// Held reads back which rows of the inventory are there, and yields each once,
	// in any order, until yield returns an error, which it returns.
	Held(ctx context.Context, of *inventory.Inventory, yield func(inventory.Held) error) error
}

// Limited is a Keeper that cannot hold every row.
type Limited interface {
	Keeper
	// Refuses returns why the destination cannot hold the row of the inventory, and
	// what would mend that; nil: it can. The limits are those that Mark has found.
	Refuses(of *inventory.Inventory, key inventory.Key, row *inventory.Row) error
}

// RelationalStore is a destination that holds the current rows (ADR-0401), each
// of which can be changed.
type RelationalStore interface {
	Keeper
	// Apply makes all updates, or none. It returns ErrFenced, and changes nothing,
	// unless the destination holds the generation of the delta's base. It returns
	// delta.Mark(), which is what is held then.
	Apply(ctx context.Context, delta Delta) (Mark, error)
}

// EventEmitter is a destination that is told what changes (ADR-0401), and that
// remembers the last event of each row.
type EventEmitter interface {
	Keeper
	// Publish makes an event of each update, and of delta.Mark(), which comes last
	// and is what it returns. It returns ErrFenced, and changes nothing, unless the
	// destination holds the generation of the delta's base. If it is cut short, Held
	// says which events are there; so unless all can be published at once, it first
	// notes delta.Begun(), that nobody takes a part for the old content.
	Publish(ctx context.Context, delta Delta) (Mark, error)
}
