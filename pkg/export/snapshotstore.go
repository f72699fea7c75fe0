package export

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// FromSnapshotStore returns one inventory's place in a snapshot store. It
// exports only while the first list of every target is complete, since a
// snapshot store takes for deleted what is absent.
func FromSnapshotStore(store sink.SnapshotStore) Destination { return &snapshotStore{store: store} }

type snapshotStore struct {
	store sink.SnapshotStore
	held
}

func (d *snapshotStore) Export(ctx context.Context, r Request) (Result, error) {
	of := r.Snapshot.Inventory()
	known := d.knows(of)
	if err := d.readMark(ctx, of, d.store.Mark); err != nil {
		return Result{}, err
	}
	if !known {
		r.renew()
	}
	if head := r.Snapshot.Head(); !head.Synced() {
		d.guard = guard{}
		return Result{Outcome: WaitingForTargets, Mark: d.mark, Message: waitingFor(head)}, nil
	}
	if d.holds(r.Snapshot.Hash(), d.store.Schema(of)) {
		return d.confirm(ctx, r, d.store.Confirm)
	}
	if result, wait := d.guarded(r, int(d.mark.Rows), r.Snapshot.Len()); wait {
		return result, nil
	}
	if due := d.due(r); due.After(r.Now) {
		return Result{Outcome: Delayed, Mark: d.mark, Next: due, Hold: true}, nil
	}
	base := d.mark
	err := d.write(ctx, r, r.Snapshot.Len(), func(generation int64) (sink.Mark, error) {
		return d.store.Write(ctx, sink.Export{Snapshot: r.Snapshot, Generation: generation, Time: r.Now, Base: &base})
	})
	if errors.Is(err, errSuperseded) {
		return d.superseded(r), nil
	}
	if err != nil {
		return Result{}, err
	}
	return d.exported(r), nil
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
