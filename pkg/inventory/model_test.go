package inventory

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"
)

// model is a store that is recomputed from scratch whenever it is asked.
type model struct {
	targets     map[TargetRef]*modelTarget
	inventories map[Ref]*modelInventory
}

type modelTarget struct {
	columns []Column
	state   TargetState
	rows    map[string]*Row
}

type modelInventory struct {
	def    Inventory
	status Status
}

func newModel() *model {
	return &model{targets: map[TargetRef]*modelTarget{}, inventories: map[Ref]*modelInventory{}}
}

func (m *model) target(ref TargetRef) *modelTarget {
	if m.targets[ref] == nil {
		m.targets[ref] = &modelTarget{rows: map[string]*Row{}}
	}
	return m.targets[ref]
}

func (m *model) put(row *Row, resourceVersion string) bool {
	t := m.target(row.Target())
	if old := t.rows[row.UID()]; old != nil && old.Hash() == row.Hash() {
		return false
	}
	t.rows[row.UID()] = row
	before, _ := strconv.Atoi(t.state.ResourceVersion)
	if after, _ := strconv.Atoi(resourceVersion); after >= before && resourceVersion != "" {
		t.state.ResourceVersion = resourceVersion
	}
	return true
}

func (m *model) remove(row *Row) bool {
	t := m.targets[row.Target()]
	if t == nil || t.rows[row.UID()] == nil {
		return false
	}
	delete(t.rows, row.UID())
	return true
}

func (m *model) setTargetState(ref TargetRef, state TargetState) {
	t := m.target(ref)
	if state.ResourceVersion == "" {
		state.ResourceVersion = t.state.ResourceVersion
	}
	t.state = state
}

func (m *model) setInventory(def Inventory) {
	var status Status
	if old := m.inventories[def.Ref]; old != nil && old.def.UID == def.UID {
		status = old.status
	}
	m.inventories[def.Ref] = &modelInventory{def: def, status: status}
}

// entries returns the inventory's rows by key. Entry.Version is not modelled.
func (m *model) entries(inv *modelInventory) []Entry {
	keyer := newKeyer(inv.def.Cluster, inv.def.Ref, inv.def.Dedupe)
	rows := map[Key]*Row{}
	for ref := range m.selected(inv) {
		if m.targets[ref] == nil {
			continue
		}
		for _, row := range m.targets[ref].rows {
			key := keyer.key(row)
			if other := rows[key]; other == nil || other.Identity().Compare(row.Identity()) < 0 {
				rows[key] = row
			}
		}
	}
	var entries []Entry
	for _, key := range slices.SortedFunc(maps.Keys(rows), Key.Compare) {
		entries = append(entries, Entry{Key: key, Row: rows[key]})
	}
	return entries
}

func (m *model) selected(inv *modelInventory) map[TargetRef]bool {
	selected := map[TargetRef]bool{}
	for _, ref := range inv.def.Targets {
		selected[ref] = true
	}
	return selected
}

func (m *model) targetStates(inv *modelInventory) []TargetState {
	var states []TargetState
	for _, ref := range slices.SortedFunc(maps.Keys(m.selected(inv)), TargetRef.Compare) {
		var state TargetState
		if t := m.targets[ref]; t != nil {
			state = t.state
			state.Rows = len(t.rows)
		}
		state.Target = ref
		states = append(states, state)
	}
	return states
}

func (m *model) columns(inv *modelInventory) []Column {
	types := map[string]ColumnType{}
	for ref := range m.selected(inv) {
		if m.targets[ref] == nil {
			continue
		}
		for _, c := range m.targets[ref].columns {
			if have, ok := types[c.Name]; ok && have != c.Type {
				types[c.Name] = ColumnString
			} else {
				types[c.Name] = c.Type
			}
		}
	}
	var columns []Column
	for _, name := range slices.Sorted(maps.Keys(types)) {
		columns = append(columns, Column{Name: name, Type: types[name]})
	}
	return columns
}

func modelKinds(entries []Entry) []KindCount {
	type groupKind struct{ group, kind string }
	counts := map[groupKind]int{}
	for _, e := range entries {
		counts[groupKind{e.Row.Resource().Group, e.Row.Resource().Kind}]++
	}
	var kinds []KindCount
	for k, n := range counts {
		kinds = append(kinds, KindCount{Group: k.group, Kind: k.kind, Rows: n})
	}
	slices.SortFunc(kinds, func(a, b KindCount) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
	})
	return kinds
}

// modelHash is the content hash as its definition says, without a tree.
func modelHash(entries []Entry, depth int) [sha256.Size]byte {
	if len(entries) <= leafSize {
		var buf []byte
		for _, e := range entries {
			hash := e.Row.Hash()
			buf = append(append(buf, e.Key[:]...), hash[:]...)
		}
		return sha256.Sum256(append(buf, 0))
	}
	var parts [4][]Entry
	for _, e := range entries {
		digit := e.Key[depth/4] << (depth % 4 * 2) >> 6
		parts[digit] = append(parts[digit], e)
	}
	var buf []byte
	for _, part := range parts {
		var hash [sha256.Size]byte
		if len(part) > 0 {
			hash = modelHash(part, depth+1)
		}
		buf = append(buf, hash[:]...)
	}
	return sha256.Sum256(append(buf, 1))
}

// check compares a state with the model.
func (m *model) check(t testing.TB, state *State) {
	t.Helper()
	var refs []Ref
	for _, scope := range []Scope{Cluster, Namespaced} {
		for s := range state.Snapshots(scope, "") {
			refs = append(refs, s.Inventory().Ref)
		}
	}
	byPosition := func(a, b Ref) int { return cmp.Compare(a.position(), b.position()) }
	if want := slices.SortedFunc(maps.Keys(m.inventories), byPosition); !slices.Equal(refs, want) {
		t.Fatalf("inventories %v, want %v", refs, want)
	}
	for ref, inv := range m.inventories {
		m.checkSnapshot(t, state.Snapshot(ref), inv)
	}
}

func (m *model) checkSnapshot(t testing.TB, got *Snapshot, inv *modelInventory) {
	t.Helper()
	want := m.entries(inv)
	entries := slices.Collect(got.All())
	sameContent := func(a, b Entry) bool {
		return a.Key == b.Key && a.Row.Hash() == b.Row.Hash() && a.Row.Identity() == b.Row.Identity()
	}
	if !slices.EqualFunc(entries, want, sameContent) {
		t.Fatalf("%v has %d rows, want %d, or other ones", inv.def.Ref, len(entries), len(want))
	}
	checkTree(t, got.root, entries)
	if got.Hash() != modelHash(want, 0) {
		t.Fatalf("%v: hash %v is not that of its content", inv.def.Ref, got.Hash())
	}
	head := got.Head()
	if head.Hash != got.Hash() || head.Rows != len(want) || got.Len() != len(want) {
		t.Fatalf("%v: head %v %d, want %v %d", inv.def.Ref, head.Hash, head.Rows, got.Hash(), len(want))
	}
	if kinds := modelKinds(want); !slices.Equal(head.Kinds, kinds) {
		t.Fatalf("%v: kinds %v, want %v", inv.def.Ref, head.Kinds, kinds)
	}
	var states []TargetState
	synced, stale := true, false
	for s := range head.Targets() {
		states = append(states, *s)
		synced, stale = synced && s.Synced, stale || s.Stale
	}
	if want := m.targetStates(inv); !slices.Equal(states, want) {
		t.Fatalf("%v: target states %v, want %v", inv.def.Ref, states, want)
	}
	if head.Synced() != synced || head.Stale() != stale {
		t.Fatalf("%v: synced %v stale %v, want %v %v", inv.def.Ref, head.Synced(), head.Stale(), synced, stale)
	}
	if !head.Status.equal(inv.status) {
		t.Fatalf("%v: status %v, want %v", inv.def.Ref, head.Status, inv.status)
	}
	def := got.Inventory()
	if columns := m.columns(inv); !slices.Equal(def.Columns, columns) {
		t.Fatalf("%v: columns %v, want %v", inv.def.Ref, def.Columns, columns)
	}
	if def.UID != inv.def.UID || def.Cluster != inv.def.Cluster || def.Dedupe != inv.def.Dedupe || def.SpecGeneration != inv.def.SpecGeneration {
		t.Fatalf("description %+v, want %+v", *def, inv.def)
	}
}

// The world that tests draw from.
var (
	testResources = []*Resource{
		{Version: "v1", Resource: "pods", Kind: "Pod"},
		{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"},
		{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job"},
	}
	testTargets = []*TargetRef{
		{Namespace: "a", Name: "pods"}, {Namespace: "a", Name: "all"}, {Namespace: "b", Name: "pods"},
		{Name: "fleet"}, {Name: "rest"},
	}
	testRefs = []Ref{{Namespace: "a", Name: "one"}, {Namespace: "a-b", Name: "one"}, {Name: "all"}, {Name: "all.2"}}
	testTime = time.Unix(1_700_000_000, 0)
)

const testUIDs = 256

// testRow returns a row of a target: one of testUIDs objects in one of four
// versions, of which the last has moved to another namespace.
func testRow(target *TargetRef, object, variant int) *Row {
	namespace := []string{"x", "y"}[object%2]
	if variant%4 == 3 {
		namespace = "z"
	}
	return NewRow(RowContent{
		Resource: testResources[(object+len(target.Name))%len(testResources)], Target: target, Namespace: namespace,
		Name: "object-" + strconv.Itoa(object/2), UID: "uid-" + strconv.Itoa(object), Created: testTime,
		Labels:     map[string]string{"variant": strconv.Itoa(variant % 4)},
		Attributes: testAttributes(object, variant),
	})
}

// testAttributes has what nextColumns promotes, some of it absent or empty, but
// nothing of that in the variant that known hashes are of.
func testAttributes(object, variant int) []byte {
	if variant == 0 {
		return fmt.Appendf(nil, `{"object":%d}`, object)
	}
	image := []string{`"image":"nginx",`, `"image":"a\"b",`, ``, `"image":"",`, `"image":null,`}[object%5]
	replicas := []string{``, `,"replicas":3`, `,"replicas":3.5`, `,"replicas":"3"`}[(object+variant)%4]
	return fmt.Appendf(nil, `{%s"object":%d,"ready":%t%s}`, image, object, variant%2 == 0, replicas)
}
