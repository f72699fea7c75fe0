package inventory

import (
	"slices"
	"strconv"
	"testing"
)

func selectTargets(tx *Tx, generation int64, targets ...TargetRef) {
	tx.SetInventory(Inventory{Ref: testRefs[0], Cluster: "prod", SpecGeneration: generation, Targets: targets})
}

func onlyTarget(t *testing.T, s *Store) TargetState {
	t.Helper()
	states := slices.Collect(s.State().Snapshot(testRefs[0]).Head().Targets())
	if len(states) != 1 {
		t.Fatalf("%d targets, want 1", len(states))
	}
	return *states[0]
}

// A target that is collected keeps its state while nobody selects it, even if it
// has no rows: an inventory that comes later must not wait for it.
func TestTargetKeepsItsState(t *testing.T) {
	target := *testTargets[0]
	columns := []Column{{Name: "image", Type: ColumnString}}
	s := NewStore(Options{})
	s.Update(func(tx *Tx) {
		tx.SetTarget(target, columns)
		tx.SetTargetState(target, TargetState{Synced: true, ResourceVersion: "5"})
	})
	want := TargetState{Target: target, Synced: true, ResourceVersion: "5"}
	for generation := range int64(3) {
		s.Update(func(tx *Tx) { selectTargets(tx, 2*generation, target) })
		if got := onlyTarget(t, s); got != want {
			t.Errorf("selected, it is %+v, want %+v", got, want)
		}
		if got := s.State().Snapshot(testRefs[0]).Inventory().Columns; !slices.Equal(got, columns) {
			t.Errorf("selected, it has columns %v, want %v", got, columns)
		}
		s.Update(func(tx *Tx) {
			if generation == 1 {
				tx.RemoveInventory(testRefs[0])
			} else {
				selectTargets(tx, 2*generation+1)
			}
		})
	}
}

func TestTargetOfAChangedClusterKeepsItsState(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.Update(func(tx *Tx) {
		tx.SetTargetState(*testTargets[0], TargetState{Synced: true})
		tx.SetStatus(testRefs[0], Status{Generation: 7})
	})
	s.Update(func(tx *Tx) {
		tx.SetInventory(Inventory{Ref: testRefs[0], Cluster: "other", Targets: []TargetRef{*testTargets[0]}})
	})
	head := s.State().Snapshot(testRefs[0]).Head()
	if !head.Synced() || head.Generation != 7 {
		t.Errorf("synced %v, generation %d, want true, 7", head.Synced(), head.Generation)
	}
}

func TestRemovedTargetLeavesNothing(t *testing.T) {
	s, _ := newTestStore(Options{})
	target := *testTargets[0]
	s.Update(func(tx *Tx) {
		tx.SetTarget(target, []Column{{Name: "image", Type: ColumnString}})
		tx.SetTargetState(target, TargetState{Synced: true, Stale: true, Message: "gone", ResourceVersion: "4"})
		for i := range 100 {
			tx.Put(testRow(testTargets[0], i, 0), "5")
		}
	})
	s.Update(func(tx *Tx) { tx.RemoveTarget(target) })
	snapshot := s.State().Snapshot(testRefs[0])
	if got, want := onlyTarget(t, s), (TargetState{Target: target}); got != want {
		t.Errorf("removed, it is %+v, want %+v", got, want)
	}
	if snapshot.Len() != 0 || len(snapshot.Inventory().Columns) != 0 || snapshot.Head().Synced() || snapshot.Head().Stale() {
		t.Errorf("%d rows, columns %v are left", snapshot.Len(), snapshot.Inventory().Columns)
	}
	s.Update(func(tx *Tx) { tx.RemoveInventory(testRefs[0]) })
	if n := len(s.targets) + len(s.inventories); n != 0 {
		t.Errorf("%d targets and inventories are still known", n)
	}
}

func TestTargetStateWithinAnUpdate(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.Update(func(tx *Tx) {
		if got := tx.TargetState(*testTargets[1]); got != nil {
			t.Errorf("an unknown target has the state %+v", got)
		}
		tx.Put(testRow(testTargets[0], 1, 0), "8")
		tx.SetTargetState(*testTargets[0], TargetState{Synced: true, Rows: 99})
		tx.Put(testRow(testTargets[0], 2, 0), "9")
		want := TargetState{Target: *testTargets[0], Rows: 2, Synced: true, ResourceVersion: "9"}
		if got := tx.TargetState(*testTargets[0]); got == nil || *got != want {
			t.Errorf("state %+v, want %+v", got, want)
		}
	})
}

// Many targets are kept in chunks: each change must find its own.
func TestManyTargets(t *testing.T) {
	const n = 3*targetChunk + 5
	refs := make([]TargetRef, n)
	for i := range refs {
		refs[i] = TargetRef{Namespace: "a", Name: strconv.Itoa(1000 + i)}
	}
	s := NewStore(Options{})
	s.Update(func(tx *Tx) { selectTargets(tx, 1, refs...) })
	for i, ref := range refs {
		old := s.State().Snapshot(testRefs[0]).Head()
		s.Update(func(tx *Tx) { tx.SetTargetState(ref, TargetState{Synced: true, Stale: i == n-1}) })
		head := s.State().Snapshot(testRefs[0]).Head()
		synced := 0
		j := 0
		for state := range head.Targets() {
			if state.Target != refs[j] || state.Synced != (j <= i) {
				t.Fatalf("target %d is %+v", j, state)
			}
			if state.Synced {
				synced++
			}
			j++
		}
		if j != n || synced != i+1 || head.Synced() != (i == n-1) || head.Stale() != (i == n-1) || old.Synced() {
			t.Fatalf("%d targets of which %d are synced, want %d and %d", j, synced, n, i+1)
		}
		for range head.Targets() {
			break
		}
	}
}
