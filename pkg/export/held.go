package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// held is what a destination says that it holds of an inventory, and when what
// changes may be written: what is common to all roles.
type held struct {
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

// knows reports whether the mark is what the destination holds of the inventory.
func (d *held) knows(of *inventory.Inventory) bool { return d.known && d.cluster == of.Cluster }

// readMark asks the destination what it holds, unless that is known.
func (d *held) readMark(ctx context.Context, of *inventory.Inventory, read func(context.Context, *inventory.Inventory) (sink.Mark, error)) error {
	if d.knows(of) {
		return nil
	}
	mark, err := read(ctx, of)
	if err != nil {
		return fmt.Errorf("read what the sink holds: %w", err)
	}
	d.known, d.cluster, d.mark = true, of.Cluster, mark
	d.last = Coalesce{LastGeneration: of.SpecGeneration, LastHash: mark.Hash, LastExport: mark.Time}
	return nil
}

// holds reports whether there is nothing to write.
func (d *held) holds(hash inventory.ContentHash, schema string) bool {
	return d.mark.Generation > 0 && d.mark.Hash == hash.String() && d.mark.Schema == schema
}

// guarded reports whether an export that leaves some of the rows there has to wait
// for another snapshot to agree.
func (d *held) guarded(r Request, before, after int) (Result, bool) {
	until := d.guard.until(before, after, r)
	if !until.After(r.Now) {
		return Result{}, false
	}
	return Result{Outcome: MassDelete, Mark: d.mark, Next: until, Message: fmt.Sprintf(
		"the export would remove %d of %d rows; it goes on if a complete snapshot still says so at %s, or at once if the sink's spec.massDeletion is Allow",
		before-after, before, until.UTC().Format(time.RFC3339))}, true
}

// due is when changed content may be written.
func (d *held) due(r Request) time.Time {
	if d.lastWrite.IsZero() {
		return time.Time{}
	}
	return d.lastWrite.Add(r.Settings.MinWriteInterval)
}

// confirm marks unchanged content as fresh when that is due. While a target is
// stale, or was not listed yet, nobody knows whether it is, so that readers see
// the mark grow old.
func (d *held) confirm(ctx context.Context, r Request, confirm func(context.Context, *inventory.Inventory, sink.Mark, time.Time) (sink.Mark, error)) (Result, error) {
	d.guard = guard{}
	of, head := r.Snapshot.Inventory(), r.Snapshot.Head()
	if head.Stale() || !head.Synced() {
		return Result{Outcome: Exported, Mark: d.mark, Next: r.Now.Add(r.Settings.MinInterval)}, nil
	}
	if !d.last.ShouldSkip(of.SpecGeneration, d.mark.Hash, r.Now, r.Settings.MinInterval) {
		d.known = false
		mark, err := confirm(ctx, of, d.mark, r.Now)
		if err != nil {
			return Result{}, fmt.Errorf("confirm the content: %w", err)
		}
		d.settle(r, mark)
	}
	return d.exported(r), nil
}

// write writes under a generation of its own, with room for rows in memory. The
// error is errSuperseded if nothing was written since a newer snapshot was.
func (d *held) write(ctx context.Context, r Request, rows int, write func(generation int64) (sink.Mark, error)) error {
	generation, err := r.Generation(ctx, r.Snapshot, max(d.mark.Generation, d.spent)+1)
	if err != nil {
		return fmt.Errorf("reserve a generation: %w", err)
	}
	leave, err := r.Room(ctx, rows)
	if err != nil {
		return err
	}
	defer leave()
	d.known = false
	mark, err := write(generation)
	if errors.Is(err, sink.ErrFenced) {
		d.spent = max(d.spent, generation)
	}
	if err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	d.lastWrite = r.Now
	d.settle(r, mark)
	return nil
}

func (d *held) settle(r Request, mark sink.Mark) {
	d.known, d.mark = true, mark
	d.last = Coalesce{LastGeneration: r.Snapshot.Inventory().SpecGeneration, LastHash: mark.Hash, LastExport: r.Now}
	d.guard = guard{}
}

func (d *held) exported(r Request) Result {
	return Result{Outcome: Exported, Mark: d.mark, Next: d.last.LastExport.Add(r.Settings.MinInterval)}
}

func (d *held) superseded(r Request) Result {
	return Result{Outcome: Delayed, Mark: d.mark, Next: r.Now}
}
