package collect

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// maxSlots bounds how many slots a spec takes in a router. One that would take
// more, by its names in each of its namespaces, is kept for all namespaces.
const maxSlots = 4096

// router finds the specs that select an object without asking the others: by
// the object's namespace, and there by its name or one of its labels.
type router struct {
	all         bucket // specs of all namespaces
	byNamespace map[string]*bucket
}

// bucket holds specs by what an object must have to be selected.
type bucket struct {
	size   int
	any    []*spec            // nothing that is indexed
	names  map[string][]*spec // this name
	labels map[label][]*spec  // this label
	keys   map[string][]*spec // a label of this key
}

type label struct{ key, value string }

// add makes the router find the spec in all namespaces of its scope.
func (r *router) add(s *spec) {
	s.wide = s.member.scope.all || len(s.names) > 1 && len(s.names)*len(s.member.scope.in) > maxSlots
	if s.wide {
		r.all.add(s)
		return
	}
	for namespace := range s.member.scope.in {
		r.addIn(namespace, s)
	}
}

// remove undoes add, addIn and removeIn; the scope must be as they left it.
func (r *router) remove(s *spec) {
	if s.wide {
		r.all.remove(s)
		return
	}
	for namespace := range s.member.scope.in {
		r.removeIn(namespace, s)
	}
}

// addIn makes the router find the spec in one more namespace.
func (r *router) addIn(namespace string, s *spec) {
	if s.wide {
		return
	}
	b := r.byNamespace[namespace]
	if b == nil {
		if r.byNamespace == nil {
			r.byNamespace = map[string]*bucket{}
		}
		b = &bucket{}
		r.byNamespace[namespace] = b
	}
	b.add(s)
}

// removeIn undoes addIn.
func (r *router) removeIn(namespace string, s *spec) {
	if s.wide {
		return
	}
	if b := r.byNamespace[namespace]; b != nil {
		b.remove(s)
		if b.size == 0 {
			delete(r.byNamespace, namespace)
		}
	}
}

// route appends to specs those that select the object, as far as names and
// labels tell, and returns how many it asked.
func (r *router) route(specs []*spec, namespace, name string, set labels.Set) ([]*spec, int) {
	asked := 0
	visit := func(candidates []*spec) {
		asked += len(candidates)
		for _, s := range candidates {
			if s.selects(namespace, name, set) {
				specs = append(specs, s)
			}
		}
	}
	r.all.visit(name, set, visit)
	if b := r.byNamespace[namespace]; b != nil {
		b.visit(name, set, visit)
	}
	return specs, asked
}

func (b *bucket) visit(name string, set labels.Set, visit func([]*spec)) {
	visit(b.any)
	if len(b.names) > 0 {
		visit(b.names[name])
	}
	if len(b.labels) > 0 {
		for key, value := range set {
			visit(b.labels[label{key, value}])
		}
	}
	if len(b.keys) > 0 {
		for key := range set {
			visit(b.keys[key])
		}
	}
}

func (b *bucket) add(s *spec) {
	if b.names == nil {
		b.names, b.labels, b.keys = map[string][]*spec{}, map[label][]*spec{}, map[string][]*spec{}
	}
	b.size++
	s.slots(func() { b.any = append(b.any, s) },
		func(name string) { b.names[name] = append(b.names[name], s) },
		func(l label) { b.labels[l] = append(b.labels[l], s) },
		func(key string) { b.keys[key] = append(b.keys[key], s) })
}

func (b *bucket) remove(s *spec) {
	b.size--
	s.slots(func() { b.any = without(b.any, s) },
		func(name string) { removeFrom(b.names, name, s) },
		func(l label) { removeFrom(b.labels, l, s) },
		func(key string) { removeFrom(b.keys, key, s) })
}

// slots calls one of its arguments, for each slot that the spec takes.
func (s *spec) slots(anywhere func(), name func(string), pair func(label), key func(string)) {
	if s.names != nil {
		for n := range s.names {
			name(n)
		}
		return
	}
	requirements, selectable := s.labels.Requirements()
	if !selectable {
		return // selects nothing
	}
	best := -1
	for i := range requirements {
		if cost := slotCost(&requirements[i]); cost > 0 && (best < 0 || cost < slotCost(&requirements[best])) {
			best = i
		}
	}
	switch {
	case best < 0:
		anywhere()
	case equality(requirements[best].Operator()):
		for value := range requirements[best].Values() {
			pair(label{requirements[best].Key(), value})
		}
	default:
		key(requirements[best].Key())
	}
}

// slotCost orders requirements by how well they narrow the choice; 0 is for
// those that hold for objects without the label.
func slotCost(r *labels.Requirement) int {
	switch op := r.Operator(); {
	case equality(op):
		return 1 + len(r.Values())
	case op == selection.Exists, op == selection.GreaterThan, op == selection.LessThan:
		return 1 << 30
	}
	return 0
}

func equality(op selection.Operator) bool {
	return op == selection.Equals || op == selection.DoubleEquals || op == selection.In
}

func removeFrom[K comparable](slots map[K][]*spec, key K, s *spec) {
	if rest := without(slots[key], s); len(rest) > 0 {
		slots[key] = rest
	} else {
		delete(slots, key)
	}
}

// without removes s from specs, whose order does not matter.
func without(specs []*spec, s *spec) []*spec {
	i := slices.Index(specs, s)
	if i < 0 {
		return specs
	}
	last := len(specs) - 1
	specs[i], specs[last] = specs[last], nil
	return specs[:last]
}
