package collect

import (
	"k8s.io/apimachinery/pkg/labels"
)

// The methods in this file are called with the resource's lock.

// join makes m a target of the resource.
func (r *resource) join(m *member, t *Target) {
	r.members[m] = struct{}{}
	r.update(m, t)
}

// leave forgets m, whose rows the store has dropped already.
func (r *resource) leave(m *member) {
	if m.spec != nil && !m.frozen {
		r.router.remove(m.spec)
	}
	delete(r.members, m)
	delete(r.requests, m)
	r.garbage = m.spec != nil || r.garbage
}

// update makes m what t says. Its rows stay until they were all read again,
// but for those of namespaces that t does not collect from.
func (r *resource) update(m *member, t *Target) {
	if m.gone.Load() {
		return
	}
	one := map[*member]struct{}{m: {}}
	m.waiting = nil
	if t.needsNamespaces() && !r.collector.namespaces.known() {
		m.waiting = t
		r.publish(one)
		return
	}
	next := t.scope(r.collector.namespaces)
	r.dropOutside(m, next)
	renew := m.spec == nil || m.frozen || m.target.Revision != t.Revision
	m.target = *t
	switch {
	case t.Suspend:
		if m.spec != nil && !m.frozen {
			r.router.remove(m.spec)
		}
		m.frozen, m.scope, m.problem = true, next, ""
		delete(r.requests, m)
	case renew:
		r.enter(m, newSpec(m, t), next)
		r.request(m, nil)
	default:
		r.rescope(m, next)
	}
	r.publish(one)
}

// enter puts a spec into effect.
func (r *resource) enter(m *member, s *spec, in scope) {
	if m.spec != nil && !m.frozen {
		r.router.remove(m.spec)
	}
	m.spec, m.scope, m.frozen = s, in, false
	m.failures.Store(s.failures)
	r.router.add(s)
	r.sequence++
	m.changed, m.latest, m.joined = r.sequence, r.sequence, nil
}

// renew has all objects listed for m again. What it has then that was not
// listed will be dropped.
func (r *resource) renew(m *member, in scope) {
	renewed := *m.spec
	r.enter(m, &renewed, in)
	r.request(m, nil)
}

// rescope gives m another scope. It has no rows outside of that.
func (r *resource) rescope(m *member, next scope) {
	if next.all && !m.scope.all {
		r.renew(m, next)
		return
	}
	var joined []string
	for name := range next.in {
		if !m.scope.has(name) {
			joined = append(joined, name)
		}
	}
	for name := range m.scope.except {
		if next.all && next.has(name) {
			joined = append(joined, name)
		}
	}
	r.router.remove(m.spec)
	m.scope = next
	r.router.add(m.spec)
	r.joined(m, joined)
}

// joined notes that namespaces have joined the scope of m.
func (r *resource) joined(m *member, namespaces []string) {
	if len(namespaces) == 0 {
		return
	}
	r.sequence++
	m.latest = r.sequence
	if m.joined == nil {
		m.joined = map[string]uint64{}
	}
	for _, name := range namespaces {
		m.joined[name] = r.sequence
	}
	r.request(m, namespaces)
}

// dropOutside drops what m has of namespaces that next does not have.
func (r *resource) dropOutside(m *member, next scope) {
	if m.spec == nil {
		return
	}
	g := merger{index: r.index}
	if m.scope.all {
		for namespace, p := range r.index {
			if !next.has(namespace) {
				g.filter(p, notOf(m))
			}
		}
	} else {
		for namespace := range m.scope.in {
			if p := r.index[namespace]; p != nil && !next.has(namespace) {
				g.filter(p, notOf(m))
			}
		}
	}
	r.flush(&g.change, nil)
}

func notOf(m *member) func(*record, entry) bool {
	return func(_ *record, e entry) bool { return e.spec.member != m }
}

// namespacesKnown puts into effect what waited for the list of namespaces.
func (r *resource) namespacesKnown() {
	for m := range r.members {
		if m.waiting != nil {
			r.update(m, m.waiting)
		}
	}
}

// namespaceChanged moves a namespace in or out of the selections that ask for
// its labels.
func (r *resource) namespaceChanged(name string) {
	set, existing := r.collector.namespaces.get(name)
	for m := range r.members {
		if m.spec == nil || m.frozen || !m.target.needsNamespaces() {
			continue
		}
		r.moveNamespace(m, name, set, existing)
	}
}

func (r *resource) moveNamespace(m *member, name string, set labels.Set, existing bool) {
	selected := m.target.Namespaces.Selects(name, set, existing) && m.target.permits(name)
	if selected == m.scope.has(name) {
		return
	}
	if selected {
		m.scope.in[name] = struct{}{}
		r.router.addIn(name, m.spec)
		r.joined(m, []string{name})
		return
	}
	delete(m.scope.in, name)
	delete(m.joined, name)
	r.router.removeIn(name, m.spec)
	if p := r.index[name]; p != nil {
		g := merger{index: r.index}
		g.filter(p, notOf(m))
		r.flush(&g.change, nil)
	}
}

// request is a target that is to be backfilled.
type request struct {
	everything bool
	namespaces set // unless everything
}

// request has the objects of m listed in the namespaces, or all with nil.
func (r *resource) request(m *member, namespaces []string) {
	next := &request{everything: namespaces == nil, namespaces: newSet(namespaces)}
	if before := r.requests[m]; before != nil {
		next.everything = next.everything || before.everything
		for name := range before.namespaces {
			next.namespaces[name] = struct{}{}
		}
	}
	r.requests[m] = next
	r.signal()
}
