package inventory

import (
	"slices"
	"testing"
)

func TestSnapshotReads(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.Update(func(tx *Tx) {
		for i := range 200 {
			tx.Put(testRow(testTargets[0], i, 0), "")
		}
	})
	snapshot := s.State().Snapshot(testRefs[0])
	entries := slices.Collect(snapshot.All())
	if len(entries) != 200 || !slices.IsSortedFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) }) {
		t.Fatalf("%d rows, or not in order", len(entries))
	}
	i := 0
	for e := range snapshot.Entries() {
		if *e != entries[i] {
			t.Fatalf("entry %d in place is %v, want %v", i, *e, entries[i])
		}
		i++
	}
	for i, e := range entries {
		if got, ok := snapshot.Get(e.Key); !ok || got != e || snapshot.Rank(e.Key) != i {
			t.Fatalf("row %d: got %v %v, rank %d", i, got, ok, snapshot.Rank(e.Key))
		}
		if got := slices.Collect(snapshot.From(e.Key)); !slices.Equal(got, entries[i:]) {
			t.Fatalf("from row %d there are %d rows, want %d", i, len(got), len(entries)-i)
		}
	}
}

// Content hashes are kept at destinations: another version of the program must
// make the same.
func TestContentHashIsStable(t *testing.T) {
	s, _ := newTestStore(Options{})
	for _, test := range []struct {
		rows int
		want string
	}{
		{0, "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
		{1, "sha256:b648c6e1e4d3b00a7126a787e28e993e26687562ff511b091bf8883ec180ba64"},
		{200, "sha256:f9d041393fe1b73092de46b665d0dec77fb7ccb87ab33d5dd5a600eb6ebd6a05"},
	} {
		s.Update(func(tx *Tx) {
			for i := range test.rows {
				tx.Put(testRow(testTargets[0], i, 0), "")
			}
		})
		if got := s.State().Snapshot(testRefs[0]).Hash().String(); got != test.want {
			t.Errorf("hash of %d rows is %s, want %s", test.rows, got, test.want)
		}
	}
}
