package export

import (
	"context"
	"errors"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Destination is what a loop sees of a sink: one inventory there. It remembers
// what the sink holds between calls, and reads it again after any error. It is
// not safe for concurrent use. There is an adapter a role: FromSnapshotStore,
// FromRelationalStore and FromEventEmitter; and Forgetting, to remove what they
// brought there.
type Destination interface {
	// Export brings the destination to the snapshot, as far as that is due and
	// allowed. An error is worth another try unless sink.IsPermanent; it wraps
	// sink.ErrFenced if somebody else exports there.
	Export(ctx context.Context, request Request) (Result, error)
}

// Request asks a destination to hold a snapshot.
type Request struct {
	Snapshot *inventory.Snapshot
	// Newest returns the newest snapshot, or nil if there is none any more; it may be
	// nil itself.
	Newest   func() *inventory.Snapshot
	Settings Settings
	Now      time.Time
	// Generation returns the generation of a snapshot's content, at least as
	// high as given. The error is errSuperseded if a newer snapshot has one.
	Generation func(ctx context.Context, of *inventory.Snapshot, atLeast int64) (int64, error)
	// Room waits until the process has memory to write so many rows. leave gives
	// it back.
	Room func(ctx context.Context, rows int) (leave func(), err error)
}

// renew takes the newest snapshot of the same inventory. One from before what the
// destination holds was read may be older than that: another process may have seen
// more, and written it in between.
func (r *Request) renew() {
	if r.Newest == nil {
		return
	}
	s := r.Newest()
	if s != nil && s.Inventory().Cluster == r.Snapshot.Inventory().Cluster {
		r.Snapshot = s
	}
}

// Settings say when to export.
type Settings struct {
	// MinInterval is how often unchanged content is confirmed.
	MinInterval time.Duration
	// MinWriteInterval is the least time between two writes of changed content.
	// Changes in between are merged; none is dropped.
	MinWriteInterval time.Duration
	// AllowMassDelete turns the guard off that holds back an export which shrinks
	// more than 100 rows to less than half until a second complete snapshot agrees.
	// Rows that others take the place of do not count.
	AllowMassDelete bool
}

// Outcome is how an attempt ended.
type Outcome string

// The outcomes. They are reasons of conditions.
const (
	// Exported: the sink holds the content.
	Exported Outcome = "Exported"
	// Delayed: a change waits for the least time between two writes.
	Delayed Outcome = "Delayed"
	// WaitingForTargets: a target's first list is not complete.
	WaitingForTargets Outcome = "WaitingForTargets"
	// MassDelete: the guard waits for a second snapshot to agree.
	MassDelete Outcome = "MassDelete"
	// RowsRefused: the sink holds the content but for rows that do not fit there.
	RowsRefused Outcome = "RowsRefused"
	// Failed: the sink or the reservation of a generation failed.
	Failed Outcome = "Failed"
	// Fenced: somebody else exports there.
	Fenced Outcome = "Fenced"
	// Forgotten: all that the sink held was removed, as was asked.
	Forgotten Outcome = "Forgotten"
	// Pending: nothing was tried yet.
	Pending Outcome = "Pending"
)

// Result is what an attempt without an error came to.
type Result struct {
	Outcome Outcome
	// Mark is what the destination holds.
	Mark sink.Mark
	// Message says what is waited for; empty when Exported.
	Message string
	// Next is when to look again though nothing changes; zero is never.
	Next time.Time
	// Hold says that nothing that changes before Next makes a difference.
	Hold bool
}

// errSuperseded says that a newer snapshot has a generation already.
var errSuperseded = errors.New("a newer snapshot was exported meanwhile")
