package export

import (
	"context"
	"errors"
	"fmt"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Forgetting returns one inventory's place at a destination from which all of it is
// to be removed. It never exports: what it does ends with the outcome Forgotten.
func Forgetting(store sink.Store) Destination { return &forgetting{store: store} }

type forgetting struct {
	store  sink.Store
	result Result // of the attempt that succeeded
	spent  int64  // the highest generation that was refused
}

func (d *forgetting) Export(ctx context.Context, r Request) (Result, error) {
	if d.result.Outcome == Forgotten {
		return d.result, nil
	}
	of := r.Snapshot.Inventory()
	mark, err := d.store.Mark(ctx, of)
	if err != nil {
		return Result{}, fmt.Errorf("read what the sink holds: %w", err)
	}
	generation, err := r.Generation(ctx, r.Snapshot, max(mark.Generation, d.spent)+1)
	if errors.Is(err, errSuperseded) {
		return Result{Outcome: Delayed, Mark: mark, Next: r.Now}, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("reserve a generation: %w", err)
	}
	if err := d.forget(ctx, r, of, generation, int(mark.Rows)); err != nil {
		return Result{}, err
	}
	d.result = Result{Outcome: Forgotten, Mark: sink.Mark{Generation: generation, Time: r.Now, Forgotten: true}}
	return d.result, nil
}

func (d *forgetting) forget(ctx context.Context, r Request, of *inventory.Inventory, generation int64, rows int) error {
	leave, err := r.Room(ctx, rows)
	if err != nil {
		return err
	}
	defer leave()
	err = d.store.Forget(ctx, of, generation, r.Now)
	if errors.Is(err, sink.ErrFenced) {
		d.spent = max(d.spent, generation)
	}
	if err != nil {
		return fmt.Errorf("remove what was exported: %w", err)
	}
	return nil
}
