package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// syncGrace is how long targets are waited for before what is held is read back to
// leave theirs alone. After a restart they are mostly synced by then, and then one
// look at the mark is enough.
const syncGrace = 30 * time.Second

// FromRelationalStore returns one inventory's place in a relational store.
//
// It goes on while the first list of a target is not complete, but neither
// updates nor deletes what the store holds of that target.
func FromRelationalStore(store sink.RelationalStore) Destination {
	return &keeper{store: store, apply: store.Apply}
}

// FromEventEmitter returns one inventory's place at an event emitter. As to
// targets it is like a relational store.
func FromEventEmitter(emitter sink.EventEmitter) Destination {
	return &keeper{store: emitter, apply: emitter.Publish}
}

// keeper exports what has changed since the last export, or, if it does not
// remember that one, since what the destination says that it holds. The former
// costs O(changes log n), and O(n) for the n rows that are left alone.
type keeper struct {
	store sink.Keeper
	apply func(context.Context, sink.Delta) (sink.Mark, error)

	held
	base     *inventory.Base // what is held, while that is known; nil: it was not read
	unsynced time.Time       // since when targets are waited for; zero: none is
}

func (d *keeper) Export(ctx context.Context, r Request) (Result, error) {
	of := r.Snapshot.Inventory()
	known := d.knows(of)
	if !known {
		d.base = nil
	}
	if err := d.readMark(ctx, of, d.store.Mark); err != nil {
		return Result{}, err
	}
	if !known {
		r.renew()
	}
	head := r.Snapshot.Head()
	keep := unsynced(head)
	if until := d.waitUntil(r, keep != nil); until.After(r.Now) {
		d.guard = guard{}
		return Result{Outcome: WaitingForTargets, Mark: d.mark, Next: until, Message: waitingFor(head)}, nil
	}
	if err := d.readBase(ctx, r, keep == nil); err != nil {
		return Result{}, err
	}
	result, err := d.change(ctx, r, keep)
	if keep != nil && err == nil && result.Outcome == Exported {
		result.Outcome, result.Message = WaitingForTargets, "the other targets' rows are exported; "+waitingFor(head)
	}
	return result, err
}

// waitUntil returns until when targets are waited for, if any are not synced.
func (d *keeper) waitUntil(r Request, unsynced bool) time.Time {
	switch {
	case !unsynced:
		d.unsynced = time.Time{}
		return time.Time{}
	case d.unsynced.IsZero():
		d.unsynced = r.Now
	}
	if d.base != nil {
		return time.Time{}
	}
	return d.unsynced.Add(syncGrace)
}

// change exports what differs from the base, but for the rows of targets that keep
// returns true for.
func (d *keeper) change(ctx context.Context, r Request, keep func(inventory.TargetRef) bool) (Result, error) {
	of, base, mark := r.Snapshot.Inventory(), d.base, d.mark
	refused := refusals(d.store, of, base.Diff(r.Snapshot, keep))
	next := base.After(r.Snapshot, keep).Without(refused.keys)
	schema := d.store.Schema(of)
	noted := schema
	if keep != nil { // which columns there are is known once all targets are synced
		noted = mark.Schema
	}
	if d.holds(next.Hash(), noted) || keep != nil && base.Len() == 0 && next.Len() == 0 {
		result, err := d.confirm(ctx, r, d.store.Confirm)
		return refused.tell(result), err
	}
	if result, wait := d.guarded(r, base.Len(), next.Len()); wait {
		return result, nil
	}
	if due := d.due(r); due.After(r.Now) {
		return Result{Outcome: Delayed, Mark: d.mark, Next: due, Hold: true}, nil
	}
	switch {
	case base.Len() == 0:
		mark.Schema = schema
	case mark.Schema == schema:
	case keep != nil: // what is left alone is of another: all is written again once nothing is
		schema = ""
	default:
		base = base.Unknown()
		refused = refusals(d.store, of, base.Diff(r.Snapshot, keep))
		next = base.After(r.Snapshot, keep).Without(refused.keys)
	}
	err := d.write(ctx, r, 0, func(generation int64) (sink.Mark, error) {
		return d.apply(ctx, sink.Delta{
			Inventory: of, Base: mark, Generation: generation, Time: r.Now,
			Hash: next.Hash().String(), Schema: schema, Rows: int64(next.Len()),
			Updates: refused.leave(base.Diff(r.Snapshot, keep)),
		})
	})
	if errors.Is(err, errSuperseded) {
		return d.superseded(r), nil
	}
	if err != nil {
		return Result{}, err
	}
	d.base = next
	return refused.tell(d.exported(r)), nil
}

// readBase reads back what is held, unless that is known, or the mark says that it
// is all of the snapshot.
func (d *keeper) readBase(ctx context.Context, r Request, synced bool) error {
	of := r.Snapshot.Inventory()
	if synced && d.holds(r.Snapshot.Hash(), d.store.Schema(of)) {
		d.base = inventory.BaseOf(r.Snapshot)
	}
	if d.base != nil {
		return nil
	}
	leave, err := r.Room(ctx, int(d.mark.Rows))
	if err != nil {
		return err
	}
	defer leave()
	var rows []inventory.Held
	if err := d.store.Held(ctx, of, func(h inventory.Held) error {
		rows = append(rows, h)
		return nil
	}); err != nil {
		return fmt.Errorf("read the rows that the sink holds: %w", err)
	}
	d.base = inventory.NewBase(rows)
	return nil
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
