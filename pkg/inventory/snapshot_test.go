package inventory

import (
	"iter"
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

// checkDiff checks that the changes from a to b make b of a, in order, and have
// nothing in them that did not change.
func checkDiff(t testing.TB, a, b *Snapshot) {
	t.Helper()
	rows := map[Key]RowHash{}
	for e := range all(a) {
		rows[e.Key] = e.Row.Hash()
	}
	var last Key
	for c := range Diff(a, b) {
		key := c.After.Key
		if c.After.Row == nil {
			key = c.Before.Key
		}
		if last.Compare(key) >= 0 {
			t.Fatalf("change of %v after %v", key, last)
		}
		last = key
		hash, had := rows[key]
		switch {
		case had != (c.Before.Row != nil), had && (c.Before.Row.Hash() != hash || c.Before.Key != key):
			t.Fatalf("change of %v from a row that was not there", key)
		case c.After.Row == nil && !had, c.After.Row != nil && had && c.After.Row.Hash() == hash:
			t.Fatalf("%v did not change", key)
		case c.After.Row == nil:
			delete(rows, key)
		default:
			rows[key] = c.After.Row.Hash()
		}
	}
	for e := range all(b) {
		if rows[e.Key] != e.Row.Hash() {
			t.Fatalf("changes lead to another row %v", e.Key)
		}
		delete(rows, e.Key)
	}
	if len(rows) > 0 {
		t.Fatalf("changes lead to %d rows too many", len(rows))
	}
}

// all returns the entries of a snapshot, which may be nil.
func all(s *Snapshot) iter.Seq[Entry] {
	if s == nil {
		return func(func(Entry) bool) {}
	}
	return s.All()
}
