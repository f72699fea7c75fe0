package export

import (
	"context"
	"errors"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

// contents returns snapshots of one inventory with different contents, in the
// order of their making.
func contents(t *testing.T, n int) (*inventory.Store, []*inventory.Snapshot) {
	t.Helper()
	store := inventory.NewStore(inventory.Options{})
	var snapshots []*inventory.Snapshot
	for i := range n {
		store.Update(func(tx *inventory.Tx) {
			tx.SetInventory(inventory.Inventory{Ref: ref, UID: "u", Cluster: "c", Targets: []inventory.TargetRef{target}})
			tx.Put(row("a", string(rune('a'+i))), "1")
		})
		snapshots = append(snapshots, store.State().Snapshot(ref))
	}
	return store, snapshots
}

func TestOneGenerationStandsForOneContent(t *testing.T) {
	store, s := contents(t, 3)
	g := NewGenerations(&fakeReserver{})
	of := func(snapshot *inventory.Snapshot, atLeast, want int64) {
		t.Helper()
		got, err := g.Of(t.Context(), snapshot, atLeast)
		if err != nil || got != want {
			t.Fatalf("generation %d, %v; want %d", got, err, want)
		}
	}
	if got := g.Newest(ref, "u"); got != (Generation{}) {
		t.Errorf("newest generation before the first: %v", got)
	}
	of(s[0], 1, 1)
	of(s[0], 1, 1)   // another sink
	of(s[0], 41, 41) // a sink that holds 40
	of(s[0], 1, 41)
	of(s[1], 42, 42)
	if _, err := g.Of(t.Context(), s[0], 1); !errors.Is(err, errSuperseded) {
		t.Errorf("an older content: %v, want %v", err, errSuperseded)
	}
	of(s[2], 1, 43)
	store.Update(func(tx *inventory.Tx) { tx.Put(row("a", "a"), "1") }) // back to the first content
	of(store.State().Snapshot(ref), 1, 44)
	if got, want := g.Newest(ref, "u"), (Generation{44, s[0].Hash()}); got != want {
		t.Errorf("newest generation %v, want %v", got, want)
	}
}

func TestGenerationsAreReservedInBlocksBeforeTheirUse(t *testing.T) {
	reserver := &fakeReserver{}
	store, _ := contents(t, 1)
	g := NewGenerations(reserver)
	for i := range int64(250) {
		store.Update(func(tx *inventory.Tx) { tx.Put(row("a", string(rune('A'+i))), "1") })
		got, err := g.Of(t.Context(), store.State().Snapshot(ref), 1)
		if err != nil || got != i+1 {
			t.Fatalf("generation %d, %v; want %d", got, err, i+1)
		}
		if got > reserver.reserved {
			t.Fatalf("generation %d is used, %d are reserved", got, reserver.reserved)
		}
	}
	if reserver.calls != 3 {
		t.Errorf("%d reservations, want 3", reserver.calls)
	}
	// A crash leaves a gap.
	got, err := NewGenerations(reserver).Of(t.Context(), store.State().Snapshot(ref), 1)
	if err != nil || got != 301 {
		t.Errorf("generation after a restart %d, %v; want 301", got, err)
	}
}

func TestAnInventoryMadeAgainReservesAgain(t *testing.T) {
	store, s := contents(t, 1)
	reserver := &fakeReserver{}
	g := NewGenerations(reserver)
	if _, err := g.Of(t.Context(), s[0], 1); err != nil {
		t.Fatal(err)
	}
	reserver.reserved = 0 // its new status
	store.Update(func(tx *inventory.Tx) {
		tx.RemoveInventory(ref)
		tx.SetInventory(inventory.Inventory{Ref: ref, UID: "another", Cluster: "c", Targets: []inventory.TargetRef{target}})
	})
	reserver.err = errors.New("the API server is down")
	for range 2 {
		if got, err := g.Of(t.Context(), store.State().Snapshot(ref), 1); !errors.Is(err, reserver.err) {
			t.Errorf("generation %d, %v without a reservation", got, err)
		}
	}
	reserver.err = nil
	if newest := g.Newest(ref, "another"); newest != (Generation{}) {
		t.Errorf("newest generation %v, which is that of the inventory before", newest)
	}
	got, err := g.Of(t.Context(), store.State().Snapshot(ref), 1)
	if err != nil || got != 2 || reserver.calls != 4 {
		t.Errorf("generation %d, %v after %d reservations; want 2 after 4", got, err, reserver.calls)
	}
}

type lyingReserver struct{}

func (lyingReserver) Reserve(context.Context, *inventory.Inventory, int64, int64) (int64, error) {
	return 1, nil
}

func TestALowReservationIsRefused(t *testing.T) {
	_, s := contents(t, 1)
	if got, err := NewGenerations(lyingReserver{}).Of(t.Context(), s[0], 7); err == nil {
		t.Errorf("generation %d where at least 7 was asked for", got)
	}
}
