package collect

import (
	"slices"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

// Extractor reads a row's attributes from an object; see [extract.Profile]. It
// never changes and is safe for concurrent use.
type Extractor interface {
	Attributes(buf []byte, object map[string]any) ([]byte, []extract.AttributeError)
}

// Matcher says whether to collect an object; see [extract.Match]. It never
// changes and is safe for concurrent use.
type Matcher interface {
	Matches(object map[string]any) (bool, error)
}

// Target says which objects to collect and what of them. What it refers to must
// not change once it was given to SetTarget.
type Target struct {
	Ref inventory.TargetRef
	// Resource must have its plural name and its kind.
	Resource *inventory.Resource
	// Namespaced says that the resource's objects are in namespaces. If they
	// are not, Namespaces is ignored and Permitted is asked for "".
	Namespaced bool
	// Revision stands for Extract, Match, Labels and Names: it differs when one
	// of them does.
	Revision string
	Extract  Extractor
	// Match is asked after all else; nil matches.
	Match Matcher
	// Labels are asked of objects; nil matches all.
	Labels labels.Selector
	// Names of objects; empty matches all.
	Names      []string
	Namespaces NamespaceScope
	// Permitted says from which of the selected namespaces objects may be
	// collected; nil permits all. Its answers never change: another set of
	// permissions is another Target. It must not block.
	Permitted func(namespace string) bool
	Columns   []inventory.Column
	// Suspend leaves the last rows as they are and marks them stale.
	// SuspendReason says why in the target's state; it may be empty.
	Suspend       bool
	SuspendReason string
}

func (t *Target) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Resource.Group, Version: t.Resource.Version, Resource: t.Resource.Resource}
}

// needsNamespaces reports whether the list of namespaces has a say in which
// are selected.
func (t *Target) needsNamespaces() bool {
	if t.Namespaces.All {
		return t.Namespaced && t.Permitted != nil
	}
	return t.Namespaced && t.Namespaces.Selector != nil
}

func (t *Target) permits(namespace string) bool {
	return t.Permitted == nil || t.Permitted(namespace)
}

// NamespaceScope selects namespaces: all, or the union of Names and Selector;
// less Exclude.
type NamespaceScope struct {
	All   bool
	Names []string
	// Selector selects existing namespaces by their labels; nil selects none.
	Selector labels.Selector
	Exclude  []string
}

// Selects reports whether the namespace of these labels is selected. One that
// does not exist, or is not known yet, is selected by its name only.
func (s *NamespaceScope) Selects(name string, set labels.Set, existing bool) bool {
	switch {
	case slices.Contains(s.Exclude, name):
		return false
	case slices.Contains(s.Names, name):
		return true
	}
	return existing && (s.All || s.Selector != nil && s.Selector.Matches(set))
}

// Lookup reports whether it depends on which namespaces exist.
func (s *NamespaceScope) Lookup() bool { return s.All || s.Selector != nil }

// Selected returns the selected namespaces in order: those of the names, existing
// or not, and those of the existing ones, which each calls its argument for.
func (s *NamespaceScope) Selected(each func(func(name string, set labels.Set))) []string {
	var names []string
	for _, name := range s.Names {
		if s.Selects(name, nil, false) {
			names = append(names, name)
		}
	}
	if s.Lookup() {
		each(func(name string, set labels.Set) {
			if s.Selects(name, set, true) {
				names = append(names, name)
			}
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

type set map[string]struct{}

func newSet(names []string) set {
	s := make(set, len(names))
	for _, name := range names {
		s[name] = struct{}{}
	}
	return s
}

func (s set) has(name string) bool {
	_, ok := s[name]
	return ok
}

// scope is which namespaces a target collects from, by name.
type scope struct {
	all    bool
	except set // when all
	in     set // unless all; "" for cluster-scoped resources
}

func (s scope) has(namespace string) bool {
	if s.all {
		return !s.except.has(namespace)
	}
	return s.in.has(namespace)
}

// scope resolves which namespaces to collect from.
func (t *Target) scope(namespaces *namespaces) scope {
	if !t.Namespaced {
		if t.permits("") {
			return scope{in: set{"": {}}}
		}
		return scope{}
	}
	if t.Namespaces.All && t.Permitted == nil {
		return scope{all: true, except: newSet(t.Namespaces.Exclude)}
	}
	s := scope{in: set{}}
	for _, name := range t.Namespaces.Selected(namespaces.each) {
		if t.permits(name) {
			s.in[name] = struct{}{}
		}
	}
	return s
}

// member is a target in the resource that it collects.
type member struct {
	ref      *inventory.TargetRef // shared by its rows
	order    uint64               // of entries in a record
	resource *resource
	// gone is set, for good, before the store drops the target's rows; inside
	// an update of the store it tells whether rows may still be put.
	gone   atomic.Bool
	wanted *Target // guarded by the lock of the collector
	// failures are those of spec.
	failures atomic.Pointer[tally]

	// The lock of the resource guards what follows.

	target  Target
	waiting *Target // to become target once the namespaces are known
	spec    *spec   // nil until the target is in effect
	scope   scope
	frozen  bool // suspended: its entries stay as they are
	// changed is the resource's sequence when spec last changed, and joined when
	// a namespace joined the scope: what was routed before says nothing about
	// them. latest is the highest of them.
	changed uint64
	joined  map[string]uint64
	latest  uint64
	synced  bool
	problem string // of the last backfill
}

// spec is what of a target does not change between revisions. Each change of
// the target's revision makes another, so an entry's spec tells what it is of.
type spec struct {
	member   *member
	names    set
	labels   labels.Selector
	match    Matcher
	extract  Extractor
	failures *tally
	wide     bool // the router keeps it for all namespaces
}

func newSpec(m *member, t *Target) *spec {
	s := &spec{
		member:   m,
		labels:   t.Labels,
		match:    t.Match,
		extract:  t.Extract,
		failures: newTally(),
	}
	if s.labels == nil {
		s.labels = labels.Everything()
	}
	if len(t.Names) > 0 {
		s.names = newSet(t.Names)
	}
	return s
}

// selects reports whether the spec selects an object, as far as names and
// labels tell.
func (s *spec) selects(namespace, name string, set labels.Set) bool {
	return (s.names == nil || s.names.has(name)) &&
		s.member.scope.has(namespace) &&
		s.labels.Matches(set)
}
