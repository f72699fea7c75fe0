package inventory

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// testRows are rows of different content.
func testRows(n int) []*Row {
	rows := make([]*Row, n)
	for i := range rows {
		rows[i] = testRow(testTargets[0], i, 0)
	}
	return rows
}

// clusteredKey returns one of few keys, which agree in long prefixes as digests
// never do.
func clusteredKey(a, b byte) Key {
	var k Key
	k[a>>4] = a & 0xf << 4
	k[15] = b
	return k
}

// randomEntries returns n entries ordered by key, with keys as digests are.
func randomEntries(random *rand.Rand, rows []*Row, n int) []Entry {
	entries := make([]Entry, n)
	for i := range entries {
		for j := range entries[i].Key {
			entries[i].Key[j] = byte(random.Uint32())
		}
		entries[i].Row = rows[i%len(rows)]
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) })
	return entries
}

// treeFrom makes the tree of the given contents by edits that a program of
// bytes orders. It returns the entries too.
func treeFrom(t testing.TB, rows []*Row, program []byte) (*node, []Entry) {
	var root *node
	contents := map[Key]Entry{}
	for version := uint64(1); len(program) > 3; version++ {
		edits := map[Key]edit{}
		for n := program[0]%64 + 1; n > 0 && len(program) > 3; n-- {
			e := edit{Key: clusteredKey(program[1], program[2]), Version: version}
			if program[3]%4 > 0 {
				e.Row = rows[int(program[3])%len(rows)]
			}
			edits[e.Key] = e
			program = program[3:]
		}
		sorted := sortedEntries(edits)
		root = root.apply(sorted, 0)
		for _, e := range sorted {
			if e.Row == nil {
				delete(contents, e.Key)
			} else {
				contents[e.Key] = e
			}
		}
	}
	entries := sortedEntries(contents)
	if got := collect(root, Key{}); !slices.Equal(got, entries) {
		t.Fatalf("tree holds %d entries, want %d, or other ones", len(got), len(entries))
	}
	return root, entries
}

func sortedEntries(m map[Key]Entry) []Entry {
	entries := make([]Entry, 0, len(m))
	for _, e := range m {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Key.Compare(b.Key) })
	return entries
}

func findEntry(entries []Entry, key Key) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e Entry, k Key) int { return e.Key.Compare(k) })
}

func collect(n *node, from Key) []Entry {
	entries := []Entry{}
	n.ascend(0, from, func(e Entry) bool {
		entries = append(entries, e)
		return true
	})
	return entries
}

func TestTreeOfClusteredKeys(t *testing.T) {
	rows := testRows(8)
	for seed := range uint64(200) {
		root, entries := treeFrom(t, rows, randomProgram(rand.New(rand.NewPCG(seed, 2)), 1000))
		checkTree(t, root, entries)
	}
}

func TestTreeFromAnyKey(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 3))
	for _, n := range []int{0, 1, leafSize, leafSize + 1, 2_000} {
		entries := randomEntries(random, testRows(8), n)
		root := treeOf(entries)
		for _, from := range append(randomEntries(random, testRows(1), 50), entries[:min(n, 50)]...) {
			i, _ := findEntry(entries, from.Key)
			if got := collect(root, from.Key); !slices.Equal(got, entries[i:]) {
				t.Fatalf("from %v of %d: %d entries, want %d", from.Key, n, len(got), n-i)
			}
			if got := root.rank(from.Key); got != i {
				t.Fatalf("rank of %v of %d is %d, want %d", from.Key, n, got, i)
			}
			if got, ok := root.get(from.Key); ok != (i < n && entries[i].Key == from.Key) || ok && got != entries[i] {
				t.Fatalf("get of %v is %v %v", from.Key, got, ok)
			}
		}
	}
}

func TestTreeStopsWhenTold(t *testing.T) {
	entries := randomEntries(rand.New(rand.NewPCG(1, 4)), testRows(8), 1_000)
	root := treeOf(entries)
	for _, stop := range []int{1, leafSize, 500, 1_000} {
		walked, visited := 0, 0
		root.ascend(0, Key{}, func(Entry) bool { walked++; return walked < stop })
		root.visit(func(*item) bool { visited++; return visited < stop })
		if walked != stop || visited != stop {
			t.Errorf("yielded %d and %d entries, want %d", walked, visited, stop)
		}
	}
}

func TestTreeHashesDifferWithContents(t *testing.T) {
	rows := testRows(200)
	random := rand.New(rand.NewPCG(1, 5))
	seen := map[[32]byte]string{}
	for _, n := range []int{1, leafSize, leafSize + 1, 300} {
		entries := randomEntries(random, rows[:100], n)
		root := treeOf(entries)
		note := func(change string, n *node) {
			if other, ok := seen[n.hash]; ok {
				t.Errorf("%s has the hash of %s", change, other)
			}
			seen[n.hash] = change
		}
		note(strconv.Itoa(n)+" rows", root)
		for i := range min(n, 50) {
			name := strconv.Itoa(n) + " rows, row " + strconv.Itoa(i)
			e := entries[i]
			e.Row = rows[100+i]
			note(name+" replaced", root.apply([]edit{e}, 0))
			e.Key[15] ^= 1
			note(name+" added beside", root.apply([]edit{e}, 0))
			if n > 1 {
				note(name+" removed", root.apply([]edit{{Key: entries[i].Key}}, 0))
			}
		}
	}
}

// maxPath is how many nodes lie between the root and a leaf, both included, of
// 100,000 entries: log4(100,000/leafSize) is 5.8, and digests are not quite even.
const maxPath = 9

// An edit makes new nodes only on its way down from the root.
func TestTreeEditCost(t *testing.T) {
	entries := randomEntries(rand.New(rand.NewPCG(1, 6)), testRows(8), 100_000)
	root := treeOf(entries)
	old := map[*node]bool{}
	walkNodes(root, func(n *node) { old[n] = true })
	row := testRow(testTargets[1], 1, 1)
	for i := 0; i < len(entries); i += 997 {
		for _, e := range []edit{{Key: entries[i].Key, Row: row}, {Key: entries[i].Key}} {
			made := 0
			walkNew(root.apply([]edit{e}, 0), old, func(*node) { made++ })
			if made > maxPath {
				t.Fatalf("an edit of 100,000 entries makes %d nodes, want %d at most", made, maxPath)
			}
		}
	}
}

func walkNodes(n *node, visit func(*node)) { walkNew(n, nil, visit) }

// walkNew visits the nodes that are not in old, nor below one that is.
func walkNew(n *node, old map[*node]bool, visit func(*node)) {
	if n == nil || old[n] {
		return
	}
	visit(n)
	if n.branch != nil {
		for _, c := range n.branch.child {
			walkNew(c, old, visit)
		}
	}
}

// checkTree checks that a tree is the one that is built from scratch, and that
// it finds each of its entries.
func checkTree(t testing.TB, n *node, entries []Entry) {
	t.Helper()
	if !sameTree(n, treeOf(entries)) {
		t.Fatalf("tree of %d entries is not shaped as one from scratch", len(entries))
	}
	for i, e := range entries {
		if got, ok := n.get(e.Key); !ok || got != e {
			t.Fatalf("get %v: %v %v", e.Key, got, ok)
		}
		if rank := n.rank(e.Key); rank != i {
			t.Fatalf("rank of %v is %d, want %d", e.Key, rank, i)
		}
	}
}

// treeOf builds the tree of entries, which are ordered by key.
func treeOf(entries []Entry) *node {
	return build(mergeEdits(nil, nil, entries), 0)
}

func sameTree(a, b *node) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case a.hash != b.hash || a.count != b.count || (a.branch == nil) != (b.branch == nil) || !slices.Equal(a.items, b.items):
		return false
	case a.branch == nil:
		return true
	}
	for i := range fanout {
		if a.branch.hashes[i] != b.branch.hashes[i] || !sameTree(a.branch.child[i], b.branch.child[i]) {
			return false
		}
	}
	return true
}
