package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/labels"

	"kollect.io/kollect/pkg/inventory"
)

// keeping returns storages of the rows of a scope: one that keeps encodings, and
// one that does not.
func keeping(s *inventory.Store, scope inventory.Scope, limit int) (kept, plain *store[row]) {
	kept, plain = newStore(s, rows{scope}, ""), newStore(s, rows{scope}, "")
	kept.encodings = inventory.NewEncodings(limit)
	return kept, plain
}

// listed returns the JSON of a list of one state.
func listed(t *testing.T, s *store[row], state *inventory.State, options *metainternalversion.ListOptions) string {
	t.Helper()
	selected := newSelection(context.Background(), options)
	page, err := newPage(selected, s.kind.names().scope, options)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.listOf(context.Background(), state, selected, page)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func expectSame(t *testing.T, kept, plain *store[row], state *inventory.State, options *metainternalversion.ListOptions) {
	t.Helper()
	if got, want := listed(t, kept, state, options), listed(t, plain, state, options); got != want {
		t.Errorf("%s at %d: %d bytes, which are not the %d of what is encoded anew", kept.resource(), state.Version, len(got), len(want))
	}
}

// TestWhatIsKeptIsWhatWouldBeEncoded lists while rows change. Inventories lie
// within others, so that leaves are cut, and little room is there, so that what
// is kept comes and goes.
func TestWhatIsKeptIsWhatWouldBeEncoded(t *testing.T) {
	s := nestingStore(rand.New(rand.NewPCG(1, 31)))
	refs := []inventory.Ref{apps, platform, {Name: "a"}, {Namespace: "n", Name: "a.b"}, {Namespace: "n", Name: "a.b.c"}}
	for _, ref := range refs {
		addInventory(s, ref, 200)
	}
	all := &metainternalversion.ListOptions{}
	selecting := &metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{"n": "1"})}
	pages := &metainternalversion.ListOptions{Limit: 100}

	var readers sync.WaitGroup
	read := func(seed uint64, kept, plain *store[row]) {
		random := rand.New(rand.NewPCG(seed, 32))
		for i := range 4 {
			for range 10 {
				ref := refs[random.IntN(len(refs))]
				row := newRow(ref, random.IntN(250), fmt.Sprintf("nginx:1.%d.%d", seed, i))
				if random.IntN(3) == 0 {
					remove(s, row)
				} else {
					change(s, row)
				}
			}
			state := s.State()
			for range 2 {
				expectSame(t, kept, plain, state, all)
			}
			expectSame(t, kept, plain, state, selecting)
			expectSame(t, kept, plain, state, pages)
		}
	}
	for i, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
		for j, limit := range []int{0, 100 << 10, 1 << 30} {
			kept, plain := keeping(s, scope, limit)
			for k := range 2 {
				readers.Go(func() { read(uint64(i*6+j*2+k), kept, plain) })
			}
		}
	}
	readers.Wait()
}

// TestListsAreOfWhatIsKept has what is kept be found in the answer, and nothing
// else be encoded.
func TestListsAreOfWhatIsKept(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 1000)
	kept, plain := keeping(s, inventory.Namespaced, 1<<30)
	options := &metainternalversion.ListOptions{}
	for range 2 {
		listed(t, kept, s.State(), options)
	}
	size := kept.encodings.Size()
	if whole := len(listed(t, plain, s.State(), options)); size < whole-whole/100 {
		t.Errorf("%d bytes are kept of an answer of %d", size, whole)
	}
	read := kept.encodings.Read()
	for leaf := range s.State().Snapshot(apps).Leaves(inventory.Key{}, nil) {
		encoded := read.Get(leaf)
		for i := range encoded { // which nobody else may do
			encoded[i] = '#'
		}
	}
	if got := listed(t, kept, s.State(), options); strings.Count(got, "#") < size/2 || strings.Contains(got, "nginx") {
		t.Error("what is kept is not what is sent")
	}
	change(s, newRow(apps, 17, "nginx:2"))
	if got := listed(t, kept, s.State(), options); strings.Count(got, "nginx:2") != 1 || strings.Count(got, `"app-17"`) != 1 {
		t.Error("a change does not show")
	}
}
