package export

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// FromSnapshotStore returns one inventory's place in a snapshot store. It
// exports only while the first list of every target is complete, since a
// snapshot store takes for deleted what is absent.
func FromSnapshotStore(store sink.SnapshotStore) Destination { return &snapshotStore{store: store} }

type snapshotStore struct {
	store sink.SnapshotStore

	known     bool   // mark is what the destination holds
	cluster   string // of the inventory when mark was read: it is part of the place
	mark      sink.Mark
	last      Coalesce
	lastWrite time.Time
	// spent is the highest generation that was refused. The next one is above it,
	// though the mark may not tell: an export that was cut short may have left it.
	spent int64
	guard guard
}

func (d *snapshotStore) Export(ctx context.Context, r Request) (Result, error) {
	of := r.Snapshot.Inventory()
	if !d.known || d.cluster != of.Cluster {
		mark, err := d.store.Mark(ctx, of)
		if err != nil {
			return Result{}, fmt.Errorf("read what the sink holds: %w", err)
		}
		d.known, d.cluster, d.mark = true, of.Cluster, mark
		d.last = Coalesce{LastGeneration: of.SpecGeneration, LastHash: mark.Hash, LastExport: mark.Time}
	}
	if head := r.Snapshot.Head(); !head.Synced() {
		d.guard = guard{}
		return Result{Outcome: WaitingForTargets, Mark: d.mark, Message: waitingFor(head)}, nil
	}
	if d.mark.Generation > 0 && d.mark.Hash == r.Snapshot.Hash().String() && d.mark.Schema == d.store.Schema(of) {
		d.guard = guard{}
		return d.confirm(ctx, r)
	}
	if !r.Settings.AllowMassDelete {
		if until := d.guard.until(d.mark.Rows, r); until.After(r.Now) {
			return Result{Outcome: MassDelete, Mark: d.mark, Next: until, Message: fmt.Sprintf(
				"the export would remove %d of %d rows; it goes on if a complete snapshot still says so at %s",
				d.mark.Rows-int64(r.Snapshot.Len()), d.mark.Rows, until.UTC().Format(time.RFC3339))}, nil
		}
	}
	if due := d.lastWrite.Add(r.Settings.MinWriteInterval); !d.lastWrite.IsZero() && due.After(r.Now) {
		return Result{Outcome: Delayed, Mark: d.mark, Next: due, Hold: true}, nil
	}
	return d.write(ctx, r)
}

// confirm marks unchanged content as fresh when that is due. While a target is
// stale nobody knows whether it is, so that readers see the mark grow old.
func (d *snapshotStore) confirm(ctx context.Context, r Request) (Result, error) {
	of := r.Snapshot.Inventory()
	if r.Snapshot.Head().Stale() {
		return Result{Outcome: Exported, Mark: d.mark, Next: r.Now.Add(r.Settings.MinInterval)}, nil
	}
	if !d.last.ShouldSkip(of.SpecGeneration, d.mark.Hash, r.Now, r.Settings.MinInterval) {
		d.known = false
		mark, err := d.store.Confirm(ctx, of, d.mark, r.Now)
		if err != nil {
			return Result{}, fmt.Errorf("confirm the content: %w", err)
		}
		d.settle(r, mark)
	}
	return d.exported(r), nil
}

func (d *snapshotStore) write(ctx context.Context, r Request) (Result, error) {
	generation, err := r.Generation(ctx, r.Snapshot, max(d.mark.Generation, d.spent)+1)
	if errors.Is(err, errSuperseded) {
		return Result{Outcome: Delayed, Mark: d.mark, Next: r.Now}, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("reserve a generation: %w", err)
	}
	leave, err := r.Room(ctx, r.Snapshot.Len())
	if err != nil {
		return Result{}, err
	}
	defer leave()
	d.known = false
	mark, err := d.store.Write(ctx, sink.Export{Snapshot: r.Snapshot, Generation: generation, Time: r.Now})
	if errors.Is(err, sink.ErrFenced) {
		d.spent = max(d.spent, generation)
	}
	if err != nil {
		return Result{}, fmt.Errorf("write the snapshot: %w", err)
	}
	d.lastWrite = r.Now
	d.settle(r, mark)
	return d.exported(r), nil
}

func (d *snapshotStore) settle(r Request, mark sink.Mark) {
	d.known, d.mark = true, mark
	d.last = Coalesce{LastGeneration: r.Snapshot.Inventory().SpecGeneration, LastHash: mark.Hash, LastExport: r.Now}
	d.guard = guard{}
}

func (d *snapshotStore) exported(r Request) Result {
	return Result{Outcome: Exported, Mark: d.mark, Next: d.last.LastExport.Add(r.Settings.MinInterval)}
}

// waitingFor names the first few targets whose first list is not complete.
func waitingFor(head *inventory.Head) string {
	const most = 3
	var names []string
	more := 0
	for target := range head.Targets() {
		if target.Synced {
			continue
		}
		if len(names) == most {
			more++
			continue
		}
		name := target.Target.String()
		if target.Message != "" {
			name += ": " + target.Message
		}
		names = append(names, name)
	}
	message := "waiting for targets " + strings.Join(names, "; ")
	if more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return message
}
