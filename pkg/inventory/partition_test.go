package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// checkPartitions compares what a state finds by partition with its snapshots.
// The newest state numbers its partitions too.
func checkPartitions(t testing.TB, state *State, newest bool) {
	t.Helper()
	if !state.partitions.kept() {
		return
	}
	want := map[partKey][]Entry{}
	for _, ref := range testRefs {
		if snapshot := state.Snapshot(ref); snapshot != nil {
			for e := range snapshot.All() {
				key := partKey{e.Row.Partition(), ref}
				want[key] = append(want[key], e)
			}
		}
	}
	listed := slices.Collect(state.Partitions(Partition{}))
	partitions := map[Partition]bool{}
	for _, p := range listed {
		partitions[p] = true
		for part := range state.Parts(p) {
			key := partKey{p, part.Inventory}
			checkPart(t, part, want[key])
			delete(want, key)
		}
	}
	if len(want) != 0 {
		t.Fatalf("version %d: no parts for %v", state.Version, slices.Collect(maps.Keys(want)))
	}
	if len(partitions) != len(listed) {
		t.Fatalf("partitions are repeated: %v", listed)
	}
	if numbered := slices.Collect(state.PartitionsAfter(0)); newest && (len(numbered) != len(listed) || !maps.Equal(setOf(numbered), partitions)) {
		t.Fatalf("numbered are %v, want %v", numbered, listed)
	}
}

func setOf(partitions []Partition) map[Partition]bool {
	set := map[Partition]bool{}
	for _, p := range partitions {
		set[p] = true
	}
	return set
}

func checkPart(t testing.TB, part *Part, want []Entry) {
	t.Helper()
	if part.Len() != len(want) {
		t.Fatalf("%v of %v has %d rows, want %d", part.Partition, part.Inventory, part.Len(), len(want))
	}
	for i, e := range want {
		if got, ok := part.Get(e.Key); !ok || got != e || part.Rank(e.Key) != i {
			t.Fatalf("%v of %v has %v, %v at %d, want %v", part.Partition, part.Inventory, got, ok, i, e)
		}
	}
	for i := 0; i < len(want); i += 1 + len(want)/3 {
		for _, from := range []Key{{}, want[i].Key} {
			rest := want
			if from != (Key{}) {
				rest = want[i:]
			}
			walk := part.From(from)
			for _, e := range rest {
				if got, ok := walk.Next(); !ok || *got != e {
					t.Fatalf("%v of %v yields %v, %v, want %v", part.Partition, part.Inventory, got, ok, e)
				}
			}
			if got, ok := walk.Next(); ok {
				t.Fatalf("%v of %v yields %v after its end", part.Partition, part.Inventory, got)
			}
		}
	}
}

func TestNamespacesAreOrderedAsKeys(t *testing.T) {
	namespaces := []string{"", "a", "a-b", "a.b", "a0", "ab", "b"}
	for _, a := range namespaces {
		for _, b := range namespaces {
			if got, want := CompareNamespaces(a, b), strings.Compare(a+"/", b+"/"); got != want {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestPartitionsAreFound(t *testing.T) {
	target := TargetRef{Name: "all"}
	s := NewStore(Options{})
	s.KeepPartitions()
	var want []Partition
	s.Update(func(tx *Tx) {
		tx.SetInventory(Inventory{Ref: Ref{Name: "all"}, Targets: []TargetRef{target}})
		for _, namespace := range []string{"b", "a-b", "a", ""} {
			for _, resource := range testResources {
				row := NewRow(RowContent{Resource: resource, Target: &target, Namespace: namespace, Name: "x", UID: namespace + resource.Kind})
				tx.Put(row, "")
				if namespace != "" {
					want = append(want, row.Partition())
				}
			}
		}
	})
	state := s.State()
	slices.SortFunc(want, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource), CompareNamespaces(a.Namespace, b.Namespace))
	})
	if got := slices.Collect(state.Partitions(Partition{})); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for i, after := range want {
		if got := slices.Collect(state.Partitions(after)); !slices.Equal(got, slices.Concat(want[i+1:], want[:i+1])) {
			t.Errorf("after %v: got %v", after, got)
		}
		if !state.HasPartition(after) || state.HasPartition(Partition{after.Group, after.Resource, after.Namespace + "a"}) {
			t.Errorf("%v, or another, is not what the state has", after)
		}
	}
	var resources, next []Partition
	for p, ok := state.NextResource("", ""); ok; p, ok = state.NextResource(p.Group, p.Resource) {
		resources = append(resources, p)
	}
	for p, ok := state.NextResource("", ""); ok; p, ok = state.NextPartition(p) {
		next = append(next, p)
	}
	if !slices.Equal(resources, []Partition{want[0], want[3], want[6]}) || !slices.Equal(next, want) {
		t.Errorf("got resources %v and partitions %v of %v", resources, next, want)
	}
	for from, namespace := range map[string]string{"": "a-b", "a": "a", "a-": "a-b", "a-b": "a-b", "aa": "b", "b": "b", "c": ""} {
		p, ok := state.PartitionFrom("apps", "deployments", from)
		if ok != (namespace != "") || ok && p != (Partition{"apps", "deployments", namespace}) {
			t.Errorf("from %q: got %v, %v; want namespace %q", from, p, ok, namespace)
		}
	}
}

// A partition that appears, or appears again, has a number above all others.
func TestPartitionsAreNumbered(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.KeepPartitions()
	row := func(namespace string) *Row {
		return NewRow(RowContent{Resource: testResources[0], Target: testTargets[0], Namespace: namespace, Name: "x", UID: "uid-" + namespace})
	}
	after := func(number uint64) []Partition { return slices.Collect(s.State().PartitionsAfter(number)) }
	number := s.State().PartitionNumber()
	s.Update(func(tx *Tx) { tx.Put(row("n"), "") })
	want := []Partition{{Resource: "pods", Namespace: "n"}}
	if got := after(number); !slices.Equal(got, want) {
		t.Errorf("appeared %v, want %v", got, want)
	}
	number = s.State().PartitionNumber()
	s.Update(func(tx *Tx) { tx.Remove(row("n")) })
	if got := after(number); got != nil || s.State().PartitionNumber() != number {
		t.Errorf("appeared %v when one vanished", got)
	}
	s.Update(func(tx *Tx) { tx.Put(row("n"), "") })
	if got := after(number); !slices.Equal(got, want) {
		t.Errorf("appeared again %v, want %v", got, want)
	}
}

// Partitions begin to be kept while the store changes, and what was missed is
// caught up.
func TestPartitionsFromNowOn(t *testing.T) {
	s, _ := newTestStore(Options{})
	change(s, 3000) // a row that stays
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !isClosed(stop); i++ {
			change(s, i%1000)
			if i%7 == 0 {
				s.Update(func(tx *Tx) { tx.Remove(testRow(testTargets[0], i%300, 0)) })
			}
		}
	}()
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(s.KeepPartitions)
	}
	callers.Wait()
	checkPartitions(t, s.State(), true)
	close(stop)
	<-done
	checkPartitions(t, s.State(), true)
	if state := s.State(); state.PartitionNumber() == 0 {
		t.Error("no partitions are kept")
	}
}

func TestAdvance(t *testing.T) {
	s, _ := newTestStore(Options{})
	before := s.State()
	cursor, err := s.Follow(before.Version)
	if err != nil {
		t.Fatal(err)
	}
	version := s.Advance()
	if state := s.State(); version <= before.Version || state.Version != version {
		t.Errorf("advanced from %d to %d, the state is at %d", before.Version, version, state.Version)
	}
	if events, at := cursor.Next(); len(events) != 0 || at != version {
		t.Errorf("got events %v to version %d", events, at)
	}
	if past, err := s.At(before.Version); err != nil || past.Version != before.Version {
		t.Errorf("the version before: %v", err)
	}
}
