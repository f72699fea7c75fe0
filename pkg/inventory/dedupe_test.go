package inventory

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// dedupedStore returns a store with a cluster inventory of all targets.
func dedupedStore() *Store {
	s := NewStore(Options{})
	def := Inventory{Ref: testRefs[2], Cluster: "prod", Dedupe: ByResourceUID}
	for _, target := range testTargets {
		def.Targets = append(def.Targets, *target)
	}
	s.Update(func(tx *Tx) { tx.SetInventory(def) })
	return s
}

// sharedRow returns a target's row of one object, which each target reads as
// another resource.
func sharedRow(target, variant int) *Row {
	return NewRow(RowContent{
		Resource: testResources[target%len(testResources)], Target: testTargets[target],
		Namespace: "x", Name: "shared", UID: "uid", Attributes: []byte{'"', byte('a' + variant), '"'},
	})
}

func onlyRow(t *testing.T, s *Store) *Row {
	t.Helper()
	snapshot := s.State().Snapshot(testRefs[2])
	if snapshot.Len() == 0 {
		return nil
	}
	if snapshot.Len() > 1 {
		t.Fatalf("%d rows, want 1", snapshot.Len())
	}
	for e := range snapshot.All() {
		return e.Row
	}
	return nil
}

// The last in row order wins, whatever the order of arrival, and the next one
// takes its place when it leaves.
func TestDedupeKeepsTheLastInRowOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 12))
	order := []int{0, 1, 2, 3, 4}
	for range 50 {
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		s := dedupedStore()
		var present []*Row
		check := func() {
			t.Helper()
			var want *Row
			if len(present) > 0 {
				want = slices.MaxFunc(present, compareRows)
			}
			if got := onlyRow(t, s); got != want {
				t.Fatalf("of %d rows, in order %v, the winner is %v, want %v", len(present), order, got, want)
			}
		}
		for _, i := range order {
			row := sharedRow(i, 0)
			present = append(present, row)
			s.Update(func(tx *Tx) { tx.Put(row, "") })
			check()
		}
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			row := sharedRow(i, 1)
			present = slices.DeleteFunc(present, func(r *Row) bool { return r.Target() == row.Target() })
			present = append(present, row)
			s.Update(func(tx *Tx) { tx.Put(row, "") })
			check()
		}
		for len(present) > 0 {
			i := random.IntN(len(present))
			row := present[i]
			present = slices.Delete(present, i, i+1)
			s.Update(func(tx *Tx) { tx.Remove(row) })
			check()
		}
	}
}

func TestDedupeInOneUpdate(t *testing.T) {
	s := dedupedStore()
	low, high := sharedRow(3, 0), sharedRow(0, 0) // cluster targets come first
	s.Update(func(tx *Tx) {
		tx.Put(high, "")
		tx.Put(low, "")
		tx.Remove(high)
		tx.Put(high, "")
		tx.Remove(low)
		tx.Put(low, "")
	})
	if got := onlyRow(t, s); got != high {
		t.Errorf("the winner is %v, want %v", got, high)
	}
	before := s.State().Version
	s.Update(func(tx *Tx) { tx.Remove(high) })
	cursor, err := s.Follow(before)
	if err != nil {
		t.Fatal(err)
	}
	events := drain(cursor)
	i := slices.IndexFunc(events, func(e Event) bool { return e.Before.Row == high && e.After.Row == low })
	if i < 0 {
		t.Errorf("no event replaces one row by the other: %v", events)
	}
}

// The contents of the inventory do not depend on which targets came and went.
func TestDedupeIsIndependentOfHistory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 13))
	rows := make([]*Row, 0, 200*len(testTargets))
	for i := range 200 {
		for _, target := range testTargets {
			if random.IntN(2) > 0 {
				rows = append(rows, testRow(target, i, i))
			}
		}
	}
	var hashes []ContentHash
	for range 10 {
		s := dedupedStore()
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for _, row := range rows {
			s.Update(func(tx *Tx) {
				tx.Put(testRow(testTargets[random.IntN(len(testTargets))], random.IntN(testUIDs), 3), "")
				tx.Put(row, "")
			})
		}
		s.Update(func(tx *Tx) {
			for _, target := range testTargets {
				for i := range testUIDs {
					tx.Remove(testRow(target, i, 3))
				}
			}
			for _, row := range rows {
				tx.Put(row, "")
			}
		})
		hashes = append(hashes, s.State().Snapshot(testRefs[2]).Hash())
	}
	if len(slices.Compact(hashes)) != 1 {
		t.Errorf("equal contents have different hashes %v", hashes)
	}
}
