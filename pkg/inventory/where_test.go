package inventory

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// checkWhere compares answers by index with those of a scan, and indexes with
// those that are made anew.
func checkWhere(t testing.TB, state *State, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 17))
	for _, scope := range []Scope{Cluster, Namespaced} {
		for s := range state.Snapshots(scope, "") {
			if s.index != nil {
				checkIndex(t, s)
			}
			for range 4 {
				checkSelected(t, s, random)
			}
		}
	}
}

func checkSelected(t testing.TB, s *Snapshot, random *rand.Rand) {
	t.Helper()
	requirements := randomRequirements(random)
	var from Key
	if n := s.Len(); n > 0 && random.IntN(2) == 0 {
		rank := random.IntN(n)
		for e := range s.All() {
			if from = e.Key; rank == 0 {
				break
			}
			rank--
		}
		from[len(from)-1] += byte(random.IntN(3) - 1)
	}
	var want []Entry
	for e := range s.From(from) {
		if !slices.ContainsFunc(requirements, func(q Requirement) bool { return (e.Row.Value(q.Field) == q.Value) == q.Not }) {
			want = append(want, e)
		}
	}
	if got := slices.Collect(s.Where(requirements, from)); !slices.Equal(got, want) {
		t.Fatalf("%v has %d rows of %v from %v, want %d, or other ones", s.inventory.Ref, len(got), requirements, from, len(want))
	}
	for range s.Where(requirements, from) { // it stops when it is told to
		break
	}
}

func randomRequirements(random *rand.Rand) []Requirement {
	values := map[Field][]string{
		FieldGroup:                 {"", "apps", "batch", "none"},
		FieldKind:                  {"Pod", "Deployment", "Job", "pod"},
		FieldResource:              {"pods", "deployments", "jobs", ""},
		FieldNamespace:             {"x", "y", "z", ""},
		FieldName:                  {"object-" + strconv.Itoa(random.IntN(testUIDs/2)), "object-7"},
		FieldUID:                   {"uid-" + strconv.Itoa(random.IntN(testUIDs)), "uid-7"},
		FieldTarget:                {"a/pods", "b/pods", "fleet", "rest", "a/", "/fleet", ""},
		AttributeField("image"):    {"nginx", `a"b`, "", "null", `"nginx"`},
		AttributeField("ready"):    {"true", "false", "True"},
		AttributeField("replicas"): {"3", "3.5", "3.0", ""},
		AttributeField("object"):   {"7", strconv.Itoa(random.IntN(testUIDs))},
		AttributeField(""):         {"", "7"},
		"other":                    {"", "7"},
	}
	fields := make([]Field, 0, len(values))
	for f := range values {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	var requirements []Requirement
	for range random.IntN(4) {
		f := fields[random.IntN(len(fields))]
		requirements = append(requirements, Requirement{
			Field: f, Value: values[f][random.IntN(len(values[f]))], Not: random.IntN(4) == 0,
		})
	}
	return requirements
}

func checkIndex(t testing.TB, s *Snapshot) {
	t.Helper()
	var events []Event
	resources := map[resourceKind]bool{}
	for e := range s.All() {
		events = append(events, Event{After: e})
		resources[e.Row.resource.resourceKind()] = true
	}
	for r := range resources {
		if !slices.Contains(s.index.resources, r) {
			t.Fatalf("%v: the index lacks %v", s.inventory.Ref, r)
		}
	}
	// At first of columns that rows are looked for in, then of those in events.
	scanned := new(indexer).update(newIndex(s.index.digester), s.root, s.index.columns, nil, nil)
	added := &index{digester: s.index.digester, columns: s.index.columns, sets: make([]*items, len(s.index.sets))}
	added = new(indexer).update(added, s.root, s.index.columns, nil, events)
	for i, set := range s.index.sets {
		got := numbers(set, 0, 1<<64-1)
		if want := numbers(added.sets[i], 0, 1<<64-1); !slices.Equal(got, want) {
			t.Fatalf("%v: set %d has %d numbers, want %d, or other ones", s.inventory.Ref, i, len(got), len(want))
		}
		if want := numbers(scanned.sets[i], 0, 1<<64-1); i >= fixedSets && !slices.Equal(got, want) {
			t.Fatalf("%v: set %d has %d numbers, a scan finds %d, or other ones", s.inventory.Ref, i, len(got), len(want))
		}
	}
}

// The state is not indexed by columns that it has no more.
func TestIndexFollowsColumns(t *testing.T) {
	s, _ := newTestStore(Options{})
	image := AttributeField("image")
	for _, columns := range [][]Column{{{Name: "image"}}, {{Name: "ready"}, {Name: "zone"}}, {{Name: "image"}, {Name: "ready"}}, nil} {
		s.Update(func(tx *Tx) { tx.SetTarget(*testTargets[0], columns) })
		snapshot := s.State().Snapshot(testRefs[0])
		if got := snapshot.index.columns; !slices.Equal(got, columns) {
			t.Fatalf("indexed are %v, want %v", got, columns)
		}
		checkIndex(t, snapshot)
		promoted := slices.Contains(columns, Column{Name: "image"})
		ranges, some := snapshot.index.ranges([]Requirement{{Field: image, Value: "nginx"}})
		if !some || len(ranges) == 1 != promoted {
			t.Errorf("columns %v: %d ranges", columns, len(ranges))
		}
	}
}

// A change of what is not indexed leaves the index as it is.
func TestIndexIsSharedWhereNothingChanges(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.Update(func(tx *Tx) {
		tx.SetTarget(*testTargets[0], []Column{{Name: "image"}, {Name: "ready"}})
		tx.Put(testRow(testTargets[0], 1, 4), "")
	})
	before := s.State().Snapshot(testRefs[0]).index
	s.Update(func(tx *Tx) { tx.Put(testRow(testTargets[0], 1, 5), "") })
	after := s.State().Snapshot(testRefs[0]).index
	for i := range before.sets {
		if changed := before.sets[i] != after.sets[i]; changed != (i == fixedSets+1) {
			t.Errorf("set %d: changed is %v", i, changed)
		}
	}
}

// Each equality is answered by reading what has its value and nothing else.
func TestWhereReadsOnlyWhatItFinds(t *testing.T) {
	s, _ := newTestStore(Options{})
	s.Update(func(tx *Tx) {
		tx.SetTarget(*testTargets[0], []Column{{Name: "image"}, {Name: "ready"}})
		for i := range testUIDs {
			tx.Put(testRow(testTargets[0], i, i), "")
		}
	})
	snapshot := s.State().Snapshot(testRefs[0])
	for q, want := range map[Requirement]int{
		{Field: FieldGroup, Value: "apps"}:               86,
		{Field: FieldKind, Value: "Pod"}:                 85,
		{Field: FieldResource, Value: "jobs"}:            85,
		{Field: FieldNamespace, Value: "z"}:              64,
		{Field: FieldName, Value: "object-7"}:            2,
		{Field: FieldUID, Value: "uid-7"}:                1,
		{Field: FieldTarget, Value: "a/pods"}:            256,
		{Field: FieldTarget, Value: "none"}:              0,
		{Field: AttributeField("image"), Value: "nginx"}: 51,
		{Field: AttributeField("image"), Value: "other"}: 0,
		{Field: AttributeField("ready"), Value: "false"}: 128,
		{Field: FieldNamespace, Value: "z", Not: true}:   -1,
		{Field: AttributeField("image")}:                 -1, // rows without it are in no set
		{Field: AttributeField("object"), Value: "7"}:    -1, // not promoted
		{Field: FieldKind, Value: "Pod", Not: true}:      -1,
	} {
		ranges, _ := snapshot.index.ranges([]Requirement{q})
		if want < 0 {
			if len(ranges) > 0 {
				t.Errorf("%v is looked up in an index", q)
			}
			continue
		}
		read := 0
		snapshot.index.intersect(snapshot.root, ranges, Key{}, func(Entry) bool { read++; return true })
		found := len(slices.Collect(snapshot.Where([]Requirement{q}, Key{})))
		if len(ranges) != 1 || read != want || found != want {
			t.Errorf("%v: read %d rows in %d ranges and found %d, want %d", q, read, len(ranges), found, want)
		}
	}
}
