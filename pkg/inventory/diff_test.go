package inventory

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// checkTreeDiff checks that applying the changes from a to b makes b of a.
func checkTreeDiff(t testing.TB, a, b []Entry, from, to *node) {
	t.Helper()
	var edits []edit
	d := differ{yield: func(before, after Entry) bool {
		e := after
		if after.Row == nil {
			e = edit{Key: before.Key}
		}
		if len(edits) > 0 && edits[len(edits)-1].Key.Compare(e.Key) >= 0 {
			t.Fatalf("change of %v after %v", e.Key, edits[len(edits)-1].Key)
		}
		i, found := findEntry(a, e.Key)
		if before.Row == nil && found || before.Row != nil && (!found || a[i] != before) {
			t.Fatalf("change of %v from an entry that was not there", e.Key)
		}
		if before.Row != nil && after.Row != nil && before.Row.hash == after.Row.hash || before.Row == after.Row {
			t.Fatalf("%v did not change", e.Key)
		}
		edits = append(edits, e)
		return true
	}}
	if !d.diff(from, to) {
		t.Fatal("stopped though not told to")
	}
	sameContent := func(a, b Entry) bool { return a.Key == b.Key && a.Row.hash == b.Row.hash }
	if got := collect(from.apply(edits, 0), Key{}); !slices.EqualFunc(got, b, sameContent) {
		t.Fatalf("%d changes lead to %d entries, want %d", len(edits), len(got), len(b))
	}
}

func TestDiffLeadsFromOneToTheOther(t *testing.T) {
	rows := testRows(8)
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 8))
		from, a := treeFrom(t, rows, randomProgram(random, random.IntN(1500)))
		to, b := treeFrom(t, rows, randomProgram(random, random.IntN(1500)))
		checkTreeDiff(t, a, b, from, to)
		checkTreeDiff(t, b, a, to, from)
	}
}

func FuzzDiff(f *testing.F) {
	random := rand.New(rand.NewPCG(9, 9))
	for size := 3; size < 200; size *= 4 {
		f.Add(randomProgram(random, size), randomProgram(random, size))
	}
	rows := testRows(8)
	f.Fuzz(func(t *testing.T, p, q []byte) {
		from, a := treeFrom(t, rows, p)
		to, b := treeFrom(t, rows, q)
		checkTree(t, from, a)
		checkTreeDiff(t, a, b, from, to)
		checkTreeDiff(t, b, a, to, from)
	})
}

func TestDiffStopsWhenTold(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 10))
	from := treeOf(randomEntries(random, testRows(8), 500))
	to := treeOf(randomEntries(random, testRows(8), 500))
	for _, stop := range []int{1, 10, 700} {
		for _, pair := range [][2]*node{{from, to}, {from, nil}, {nil, to}} {
			want := min(stop, pair[0].len()+pair[1].len())
			yielded := 0
			d := differ{yield: func(_, _ Entry) bool { yielded++; return yielded < want }}
			if d.diff(pair[0], pair[1]) || yielded != want {
				t.Errorf("yielded %d changes, want %d and to be stopped", yielded, want)
			}
		}
	}
}

// What a diff reads grows with the changes, not with the snapshot: nodes down to
// the leaf of each change, and the entries of that leaf before and after.
func TestDiffCost(t *testing.T) {
	rows := testRows(8)
	random := rand.New(rand.NewPCG(1, 11))
	for _, n := range []int{1_000, 100_000} {
		entries := randomEntries(random, rows[:4], n)
		root := treeOf(entries)
		for _, changes := range []int{0, 1, 10, 100} {
			var edits []edit
			for i := range changes {
				e := entries[i*(n/changes)]
				e.Row = rows[5]
				edits = append(edits, e)
			}
			found := 0
			d := differ{yield: func(_, _ Entry) bool { found++; return true }}
			d.diff(root, root.apply(edits, 0))
			if found != changes {
				t.Fatalf("found %d changes, want %d", found, changes)
			}
			if most := 1 + maxPath*changes; d.nodes > most {
				t.Errorf("%d changes among %d read %d nodes, want at most %d", changes, n, d.nodes, most)
			}
			if most := 2 * leafSize * changes; d.entries > most {
				t.Errorf("%d changes among %d read %d entries, want at most %d", changes, n, d.entries, most)
			}
		}
	}
}
