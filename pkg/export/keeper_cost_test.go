package export

import (
	"context"
	"fmt"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// An export of one change costs the same however many rows there are.
func TestExportsCostWhatChanges(t *testing.T) {
	for _, n := range []int{100, 20_000} {
		store := inventory.NewStore(inventory.Options{})
		put := func(rows ...*inventory.Row) {
			store.Update(func(tx *inventory.Tx) {
				for _, r := range rows {
					tx.Put(r, "1")
				}
			})
		}
		store.Update(func(tx *inventory.Tx) {
			tx.SetInventory(inventory.Inventory{Ref: ref, UID: "u", Cluster: "c", Targets: []inventory.TargetRef{target}})
			tx.SetTargetState(target, inventory.TargetState{Synced: true})
		})
		taker := &takerOfAll{}
		d := FromRelationalStore(taker)
		generation := int64(0)
		export := func() {
			generation++
			if _, err := d.Export(t.Context(), Request{
				Snapshot: store.State().Snapshot(ref), Now: time.Unix(generation, 0), Room: newRoom().enter,
				Generation: func(context.Context, *inventory.Snapshot, int64) (int64, error) { return generation, nil },
			}); err != nil {
				t.Fatal(err)
			}
		}
		put(rows(n)...)
		export()
		allocations := testing.AllocsPerRun(10, func() {
			taker.updates = 0
			put(row("pod-1", fmt.Sprint("change ", generation)))
			export()
		})
		if taker.updates != 1 || allocations > 200 {
			t.Errorf("one change of %d rows: %d updates and %.0f allocations", n, taker.updates, allocations)
		}
	}
}

// takerOfAll takes everything.
type takerOfAll struct {
	sink.RelationalStore
	updates int
}

func (*takerOfAll) Mark(context.Context, *inventory.Inventory) (sink.Mark, error) {
	return sink.Mark{}, nil
}

func (*takerOfAll) Held(context.Context, *inventory.Inventory, func(inventory.Held) error) error {
	return nil
}

func (*takerOfAll) Schema(*inventory.Inventory) string { return "" }

func (s *takerOfAll) Apply(_ context.Context, d sink.Delta) (sink.Mark, error) {
	for range d.Updates {
		s.updates++
	}
	return d.Mark(), nil
}
