package inventory

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A set of numbers is what its edits make it, in a tree of the right shape, and
// older sets stay what they were.
func TestItemsAreASet(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 11))
		limit := []uint64{50, 5_000, 1 << 40}[seed%3]
		var set *items
		model := map[uint64]bool{}
		type version struct {
			set  *items
			want []uint64
		}
		var versions []version
		for range 60 {
			removed, added := randomEdits(random, model, limit)
			set = set.apply(removed, added)
			for _, n := range removed {
				delete(model, n)
			}
			for _, n := range added {
				model[n] = true
			}
			want := slices.Sorted(maps.Keys(model))
			checkItems(t, random, set, want)
			versions = append(versions, version{set, want})
		}
		for _, v := range versions {
			if got := numbers(v.set, 0, 1<<63); !slices.Equal(got, v.want) {
				t.Fatalf("seed %d: an older set has changed", seed)
			}
		}
		if all := slices.Sorted(maps.Keys(model)); set.apply(all, nil) != nil {
			t.Fatalf("seed %d: a set without numbers is left", seed)
		}
	}
}

// randomEdits returns numbers to remove, most of which there are, and to add,
// some of which there are.
func randomEdits(random *rand.Rand, model map[uint64]bool, limit uint64) (removed, added []uint64) {
	some := map[uint64]bool{}
	for range random.IntN([]int{3, 40, 2_000}[random.IntN(3)]) {
		some[1+random.Uint64N(limit)] = true
	}
	kept := random.IntN(12)
	for n := range model {
		switch {
		case some[n]:
		case random.IntN(12) > kept:
			removed = append(removed, n)
		case random.IntN(20) == 0:
			some[n] = true
		}
	}
	for range random.IntN(3) {
		if n := 1 + random.Uint64N(limit); !some[n] && !slices.Contains(removed, n) {
			removed = append(removed, n)
		}
	}
	slices.Sort(removed)
	return removed, slices.Sorted(maps.Keys(some))
}

func checkItems(t *testing.T, random *rand.Rand, set *items, want []uint64) {
	t.Helper()
	if got := numbers(set, 0, 1<<63); !slices.Equal(got, want) || set.len() != len(want) {
		t.Fatalf("got %d numbers, want %d, or other ones", len(got), len(want))
	}
	checkItemsShape(t, set, true)
	for range 20 {
		from, end := random.Uint64N(1<<41), random.Uint64N(1<<41)
		if len(want) > 0 {
			from, end = want[random.IntN(len(want))]+random.Uint64N(3)-1, want[random.IntN(len(want))]+random.Uint64N(3)-1
		}
		i, _ := slices.BinarySearch(want, from)
		j, _ := slices.BinarySearch(want, end+1)
		if got := numbers(set, from, end); !slices.Equal(got, want[i:max(i, j)]) {
			t.Fatalf("got %d numbers from %d to %d, want %d", len(got), from, end, max(0, j-i))
		}
		c := cursor{set: set, end: end}
		for at := from; ; at += 1 + random.Uint64N(1+end/4) {
			k, _ := slices.BinarySearch(want, at)
			if found := c.seek(at); found != (k < j) || found && c.leaf[0] != want[k] {
				t.Fatalf("seek of %d up to %d is wrong", at, end)
			} else if !found {
				break
			}
		}
	}
}

// numbers returns the numbers of a range.
func numbers(set *items, from, end uint64) []uint64 {
	got := []uint64{}
	for c := (cursor{set: set, end: end}); c.seek(from); from = c.leaf[0] + 1 {
		got = append(got, c.leaf[0])
	}
	return got
}

// checkItemsShape returns the height.
func checkItemsShape(t *testing.T, n *items, top bool) int {
	t.Helper()
	if n == nil {
		return 0
	}
	if len(n.keys) == 0 || len(n.keys) > n.most() || n.children != nil && len(n.children) != len(n.keys) || top && len(n.children) == 1 {
		t.Fatalf("a node has %d keys and %d children", len(n.keys), len(n.children))
	}
	height := 0
	for i, child := range n.children {
		if h := checkItemsShape(t, child, false); i > 0 && h != height {
			t.Fatalf("children of heights %d and %d", height, h)
		} else {
			height = h
		}
		if child.keys[0] != n.keys[i] {
			t.Fatalf("a child starts at %d, its key is %d", child.keys[0], n.keys[i])
		}
	}
	return height + 1
}
