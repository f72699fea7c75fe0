package export

import (
	"context"
	"errors"
	"fmt"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// FromRelationalStore returns one inventory's place in a relational store.
//
// It goes on while the first list of a target is not complete, but neither
// updates nor deletes what the store holds of that target.
func FromRelationalStore(store sink.RelationalStore) Destination {
	return &keeper{keeper: store, apply: store.Apply, atomic: true}
}

// FromEventEmitter returns one inventory's place at an event emitter. As to
// targets it is like a relational store.
func FromEventEmitter(emitter sink.EventEmitter) Destination {
	return &keeper{keeper: emitter, apply: emitter.Publish}
}

// keeper exports what has changed since the last export, or, if it does not
// remember that one, since what the destination says that it holds.
type keeper struct {
	keeper sink.Keeper
	apply  func(context.Context, sink.Delta) (sink.Mark, error)
	atomic bool // what is held is as the mark says

	held
	base *inventory.Base // what is held under basis; nil: it is not known
	// basis is the mark of base, and intended what a delta that failed was to
	// come to, under the generation of which it may have been applied.
	basis     sink.Mark
	intended  *inventory.Base
	attempted int64
}

func (d *keeper) Export(ctx context.Context, r Request) (Result, error) {
	of := r.Snapshot.Inventory()
	if err := d.readMark(ctx, of, d.keeper.Mark); err != nil {
		return Result{}, err
	}
	head := r.Snapshot.Head()
	keep := unsynced(head)
	if keep == nil && d.holds(r.Snapshot.Hash(), d.keeper.Schema(of)) {
		d.base, d.basis = inventory.BaseOf(r.Snapshot), d.mark
		return d.confirm(ctx, r, d.keeper.Confirm)
	}
	base, err := d.readBase(ctx, of)
	if err != nil {
		return Result{}, err
	}
	next := base.After(r.Snapshot, keep)
	if d.holds(next.Hash(), d.keeper.Schema(of)) {
		d.base = next
		result, err := d.confirm(ctx, r, d.keeper.Confirm)
		return partly(result, head, keep), err
	}
	if result, wait := d.guarded(r, next.Len()); wait {
		return result, nil
	}
	if due := d.due(r); due.After(r.Now) {
		return Result{Outcome: Delayed, Mark: d.mark, Next: due, Hold: true}, nil
	}
	if d.mark.Generation > 0 && d.mark.Schema != d.keeper.Schema(of) {
		base = base.Unknown()
	}
	mark, err := d.write(ctx, r, 0, func(generation int64) (sink.Mark, error) {
		d.intended, d.attempted = next, generation
		return d.apply(ctx, sink.Delta{
			Inventory: of, Base: d.mark, Generation: generation, Time: r.Now,
			Hash: next.Hash().String(), Rows: int64(next.Len()), Updates: base.Diff(r.Snapshot, keep),
		})
	})
	if errors.Is(err, errSuperseded) {
		return d.superseded(r), nil
	}
	if err != nil {
		return Result{}, err
	}
	d.base, d.basis, d.intended = next, mark, nil
	return partly(d.exported(r), head, keep), nil
}

// readBase returns what is held under the mark. It reads that back unless it is
// what was held before, or what was to be held next.
func (d *keeper) readBase(ctx context.Context, of *inventory.Inventory) (*inventory.Base, error) {
	switch {
	case d.mark.Generation == 0 && d.atomic:
		d.base = inventory.NewBase(nil)
	case d.base != nil && d.mark.Generation == d.basis.Generation && (d.atomic || d.intended == nil):
	case d.intended != nil && d.mark.Generation == d.attempted && d.mark.Hash == d.intended.Hash().String():
		d.base = d.intended
	default:
		d.base = nil
		var held []inventory.Held
		if err := d.keeper.Held(ctx, of, func(h inventory.Held) error {
			held = append(held, h)
			return nil
		}); err != nil {
			return nil, fmt.Errorf("read the rows that the sink holds: %w", err)
		}
		d.base = inventory.NewBase(held)
	}
	d.basis, d.intended = d.mark, nil
	return d.base, nil
}

// unsynced returns which targets are to be left alone; nil: none.
func unsynced(head *inventory.Head) func(inventory.TargetRef) bool {
	if head.Synced() {
		return nil
	}
	targets := map[inventory.TargetRef]bool{}
	for t := range head.Targets() {
		if !t.Synced {
			targets[t.Target] = true
		}
	}
	return func(t inventory.TargetRef) bool { return targets[t] }
}

// partly says which targets a result leaves alone.
func partly(result Result, head *inventory.Head, keep func(inventory.TargetRef) bool) Result {
	if keep != nil && result.Outcome == Exported {
		result.Outcome, result.Message = WaitingForTargets, "the other targets' rows are exported; "+waitingFor(head)
	}
	return result
}
