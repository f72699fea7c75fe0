package inventory

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// modelBase is what a destination holds.
type modelBase map[Key]Held

func modelBaseOf(entries []Entry) modelBase {
	m := modelBase{}
	for _, e := range entries {
		m[e.Key] = Held{Key: e.Key, Hash: e.Row.Hash(), Origin: e.Row.Origin()}
	}
	return m
}

// after returns what is held once the entries are exported, and what becomes of
// each row until then.
func (m modelBase) after(entries []Entry, keep func(TargetRef) bool) (modelBase, map[Key]Update) {
	next, updates := maps.Clone(m), map[Key]Update{}
	kept := func(target TargetRef) bool { return keep != nil && keep(target) }
	rows := map[Key]*Row{}
	for _, e := range entries {
		rows[e.Key] = e.Row
	}
	for key, row := range rows {
		held, isHeld := m[key]
		if kept(row.Target()) || isHeld && (kept(held.Origin.Target) || held.Hash == row.Hash()) {
			continue
		}
		next[key] = Held{Key: key, Hash: row.Hash(), Origin: row.Origin()}
		updates[key] = Update{Key: key, Row: row, Held: isHeld, Origin: held.Origin}
	}
	for key, held := range m {
		if rows[key] == nil && !kept(held.Origin.Target) {
			delete(next, key)
			updates[key] = Update{Key: key, Held: true, Origin: held.Origin}
		}
	}
	return next, updates
}

// read returns a base that is read back: in any order, and some rows twice.
func (m modelBase) read(random *rand.Rand) *Base {
	held := slices.Collect(maps.Values(m))
	for range random.IntN(3) * len(held) / 8 {
		held = append(held, held[random.IntN(len(held))])
	}
	random.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	return NewBase(held)
}

// checkBase checks that a base has the contents of the model, and their hash.
func checkBase(t testing.TB, b *Base, m modelBase) {
	t.Helper()
	got := modelBase{}
	b.root.visit(func(i *item) bool {
		got[i.Key] = Held{Key: i.Key, Hash: i.hash, Origin: b.origin(i.Entry)}
		return true
	})
	if b.Len() != len(m) || !maps.Equal(got, m) {
		t.Fatalf("the base has %d rows, and says %d, want %d, or they differ", len(got), b.Len(), len(m))
	}
	items := make([]item, 0, len(m))
	for _, key := range slices.SortedFunc(maps.Keys(m), Key.Compare) {
		items = append(items, item{Entry: Entry{Key: key}, hash: m[key].Hash})
	}
	if want := (&Snapshot{root: build(items, 0)}).Hash(); b.Hash() != want {
		t.Fatalf("the hash is %s, want %s", b.Hash(), want)
	}
}

// checkUpdates checks what Diff yields, and returns what After does.
func checkUpdates(t testing.TB, b *Base, m modelBase, to *node, entries []Entry, keep func(TargetRef) bool) (*Base, modelBase) {
	t.Helper()
	snapshot := &Snapshot{root: to}
	next, want := m.after(entries, keep)
	got := slices.Collect(b.Diff(snapshot, keep))
	if !slices.IsSortedFunc(got, func(a, b Update) int { return a.Key.Compare(b.Key) }) || len(got) != len(want) {
		t.Fatalf("%d updates, want %d in order", len(got), len(want))
	}
	for _, u := range got {
		if u != want[u.Key] {
			t.Fatalf("update %+v, want %+v", u, want[u.Key])
		}
	}
	after := b.After(snapshot, keep)
	checkBase(t, after, next)
	if keep == nil && after.Hash() != snapshot.Hash() {
		t.Fatalf("the hash is %s, want that of the snapshot", after.Hash())
	}
	checkBase(t, b, m) // a base never changes
	return after, next
}

// baseRows are of three targets.
func baseRows() []*Row {
	rows := make([]*Row, 12)
	for i := range rows {
		rows[i] = testRow(testTargets[i%3], i, 0)
	}
	return rows
}

// checkExports exports what the programs make, one after the other, to what is
// sometimes read back and sometimes remembered.
func checkExports(t testing.TB, random *rand.Rand, programs ...[]byte) {
	rows := baseRows()
	base, model := NewBase(nil), modelBase{}
	for _, program := range programs {
		root, entries := treeFrom(t, rows, program)
		var keep func(TargetRef) bool
		if kept := random.IntN(16); kept < 8 {
			keep = func(target TargetRef) bool {
				return kept>>slices.IndexFunc(testTargets[:3], func(t *TargetRef) bool { return *t == target })&1 == 1
			}
		}
		checkUnknown(t, base, model, root, entries, keep)
		base, model = checkUpdates(t, base, model, root, entries, keep)
		if random.IntN(2) == 0 {
			base = model.read(random)
			checkBase(t, base, model)
		}
	}
}

// checkUnknown checks that all rows that are not left alone are yielded where what
// they hold is not known, though they may be as they are to be.
func checkUnknown(t testing.TB, b *Base, m modelBase, to *node, entries []Entry, keep func(TargetRef) bool) {
	t.Helper()
	unknown := maps.Clone(m)
	for key, held := range unknown {
		held.Hash = RowHash{}
		unknown[key] = held
	}
	checkBase(t, b.Unknown(), unknown)
	checkUpdates(t, b.Unknown(), unknown, to, entries, keep)
}

func TestBaseBecomesWhatIsExported(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 12))
		programs := make([][]byte, 6)
		for i := range programs {
			programs[i] = randomProgram(random, random.IntN(1200))
		}
		checkExports(t, random, programs...)
	}
}

func FuzzBase(f *testing.F) {
	random := rand.New(rand.NewPCG(10, 12))
	for size := 3; size < 200; size *= 4 {
		f.Add(uint64(size), randomProgram(random, size), randomProgram(random, size), randomProgram(random, size))
	}
	f.Fuzz(func(t *testing.T, seed uint64, p, q, r []byte) {
		checkExports(t, rand.New(rand.NewPCG(seed, 12)), p, q, r)
	})
}

func TestBaseOfASnapshotIsTheOneThatIsReadBack(t *testing.T) {
	s, _ := newTestStore(Options{})
	for _, n := range []int{0, 1, 200} {
		s.Update(func(tx *Tx) {
			for i := range n {
				tx.Put(testRow(testTargets[0], i, 0), "")
			}
		})
		snapshot := s.State().Snapshot(testRefs[0])
		model := modelBaseOf(slices.Collect(snapshot.All()))
		for _, base := range []*Base{BaseOf(snapshot), model.read(rand.New(rand.NewPCG(1, 13)))} {
			checkBase(t, base, model)
			if base.Hash() != snapshot.Hash() {
				t.Errorf("%d rows: the hash is %s, want %s", n, base.Hash(), snapshot.Hash())
			}
			for u := range base.Diff(snapshot, nil) {
				t.Errorf("%d rows: update %+v of what is held", n, u)
			}
		}
	}
}

func TestUpdatesStopWhenTold(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 13))
	base := NewBase(slices.Collect(maps.Values(modelBaseOf(randomEntries(random, baseRows(), 300)))))
	to := &Snapshot{root: treeOf(randomEntries(random, baseRows(), 300))}
	for _, stop := range []int{1, 10, 600} {
		yielded := 0
		for range base.Diff(to, nil) {
			if yielded++; yielded == stop {
				break
			}
		}
		if yielded != stop {
			t.Errorf("%d updates, want %d", yielded, stop)
		}
	}
}
