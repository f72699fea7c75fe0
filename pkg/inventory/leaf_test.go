package inventory

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLeavesHaveTheEntriesOfARange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 19))
	rows := testRows(10)
	for _, n := range []int{0, 1, leafSize, leafSize + 1, 700} {
		entries := randomEntries(random, rows, n)
		snapshot := &Snapshot{root: treeOf(entries)}
		for range 50 {
			from, end := randomKey(random, entries), new(randomKey(random, entries))
			if random.IntN(3) == 0 {
				end = nil
			}
			want := slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
				return e.Key.Compare(from) < 0 || end != nil && e.Key.Compare(*end) >= 0
			})
			var got []Entry
			for leaf := range snapshot.Leaves(from, end) {
				all, some := slices.Collect(leaf.From(Key{})), slices.Collect(leaf.From(from))
				some = slices.DeleteFunc(some, func(e Entry) bool { return end != nil && e.Key.Compare(*end) >= 0 })
				if within := leaf.Within(from, end); within != (len(some) == len(all)) {
					t.Fatalf("%d entries: of a leaf's %d %d are in the range, and it says %t", n, len(all), len(some), within)
				}
				got = append(got, some...)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d entries from %s to %v: got %d, want %d, or other ones", n, from, end, len(got), len(want))
			}
		}
	}
}

// randomKey returns the key of an entry, or another.
func randomKey(random *rand.Rand, entries []Entry) Key {
	if len(entries) > 0 && random.IntN(2) == 0 {
		return entries[random.IntN(len(entries))].Key
	}
	return Key{byte(random.Uint32()), byte(random.Uint32())}
}
