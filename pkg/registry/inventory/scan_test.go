package inventory

import (
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
)

// nestingStore has inventories whose rows lie between those of others.
func nestingStore(random *rand.Rand) *inventory.Store {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	names := []string{"a", "a.b", "a.b.c", "a.v", "a.w", "a.0", "a.zz", "a-b", "ab", "a.b-c", "b", "a.00000000000000000000000000.x", "a.vvvvvvvvvvvvvvvvvvvvvvvvvvv"}
	for _, namespace := range []string{"", "n", "n-1", "n1"} {
		for _, name := range names {
			if random.IntN(3) > 0 {
				addInventory(s, inventory.Ref{Namespace: namespace, Name: name}, random.IntN(60))
			}
		}
	}
	return s
}

func keys[T object](objects iter.Seq[T]) []string {
	keys := []string{}
	for o := range objects {
		keys = append(keys, o.key())
	}
	return keys
}

func TestScanIsInOrderFromAnyKey(t *testing.T) {
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 2))
		state := nestingStore(random).State()
		for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
			testScan(t, random, state, rows{scope})
			testScan(t, random, state, heads{scope})
		}
	}
}

func testScan[T object](t *testing.T, random *rand.Rand, state *inventory.State, k kind[T]) {
	t.Helper()
	for _, p := range []place{{}, {namespace: "n"}, {inventory: "a.b"}, {namespace: "n", inventory: "a"}, {nowhere: true}} {
		if p.namespace != "" && k.names().scope == inventory.Cluster {
			continue
		}
		all := keys(k.scan(state, p, ""))
		if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) {
			t.Fatalf("%s in %+v: not in order", k.names().kind, p)
		}
		starts := []string{"a", "n", "n/", "n/a", "n/a.", "n/a.b", "n/a.b.", "a.", "a.b.c.", "n/a.w.x", "o", "n\x00", "n/a.b.vvvvvvvvvvvvvvvvvvvvvvvvvv"}
		for range 10 {
			if len(all) > 0 {
				key := all[random.IntN(len(all))]
				starts = append(starts, key, key+"\x00", key[:random.IntN(len(key))])
			}
		}
		for _, from := range starts {
			i, _ := slices.BinarySearch(all, from)
			if got := keys(k.scan(state, p, from)); !slices.Equal(all[i:], got) {
				t.Fatalf("%s in %+v from %q: (-want +got)\n%s", k.names().kind, p, from, cmp.Diff(all[i:], got))
			}
			if got := k.count(state, p, from); got != len(all)-i && from != "" {
				t.Fatalf("%s in %+v from %q: count %d, want %d", k.names().kind, p, from, got, len(all)-i)
			}
		}
	}
}

func TestCeilKeyIsTheFirstThatIsNotBefore(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	const letters = "0123456789abcdefghijklmnopqrstuvwxyz-.\x00"
	for range 3000 {
		var b strings.Builder
		for range random.IntN(30) {
			b.WriteByte(letters[random.IntN(len(letters))])
		}
		s := b.String()
		key, ok := ceilKey(s)
		if ok && key.String() < s {
			t.Fatalf("%q: got %s, which is before it", s, key)
		}
		if !ok {
			key = inventory.Key{}
		}
		if before, exists := predecessor(key); exists && before.String() >= s {
			t.Fatalf("%q: got %s, %t, but %s is not before it", s, key, ok, before)
		}
	}
}

// predecessor returns the key before another; that of the first is the last.
func predecessor(key inventory.Key) (inventory.Key, bool) {
	first := key == inventory.Key{}
	for i := len(key) - 1; i >= 0; i-- {
		key[i]--
		if key[i] != 0xff {
			break
		}
	}
	return key, !first
}
