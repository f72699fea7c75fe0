// Package sink defines the roles that a destination of snapshots can have, and
// the errors by which it says what the exporter should do next. It knows no
// particular destination and holds no state. Its invariant: a destination never
// goes from a newer generation to an older one.
package sink

import (
	"context"
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
}

// Mark is what a destination says that it holds of an inventory. The zero Mark
// means nothing.
type Mark struct {
	Generation int64
	// Hash is the content hash, as inventory.ContentHash.String returns it.
	Hash string
	// Schema identifies the columns and the encoding of what is held, so that
	// the same content is written again when those change.
	Schema string
	Rows   int64
	// Time is when the content was last written or confirmed.
	Time time.Time
}

// SnapshotStore is a destination that holds whole snapshots (ADR-0401): what is
// absent from the newest one is gone.
//
// Methods may be called from one goroutine at a time for an inventory, and
// concurrently for different ones. An error is worth another try unless
// Permanent wraps it. Errors have no secrets in them.
type SnapshotStore interface {
	// Mark reads from the destination what it holds of the inventory. It costs
	// O(1), whatever the size of the snapshot.
	Mark(ctx context.Context, of *inventory.Inventory) (Mark, error)
	// Write replaces what is held by the snapshot. A reader sees the old or the
	// new content, never a part, even if the call is cut short. It returns
	// ErrFenced, and changes nothing that readers see, if the destination holds
	// this generation or a newer one. The returned mark is what is held now.
	Write(ctx context.Context, export Export) (Mark, error)
	// Confirm notes, at a cost of O(1), that the content held under mark was
	// still current at the given time. It returns ErrFenced if the destination
	// holds something else.
	Confirm(ctx context.Context, of *inventory.Inventory, mark Mark, at time.Time) (Mark, error)
	// Schema returns what Mark.Schema would be for the inventory.
	Schema(of *inventory.Inventory) string
	// Close frees what the store holds. No call may be in progress.
	Close() error
}
