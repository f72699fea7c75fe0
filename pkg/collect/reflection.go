package collect

import (
	"k8s.io/client-go/tools/cache"
)

// A resource is what its reflector feeds. The reflector calls these methods one
// after another.
var _ cache.ReflectorStore = &resource{}

// Add takes in an object that was created, or is watched from now on.
func (r *resource) Add(o any) error {
	if ex, ok := o.(*extracted); ok {
		r.apply(ex)
	}
	return nil
}

// Update takes in an object that was changed.
func (r *resource) Update(o any) error { return r.Add(o) }

// Resync does nothing.
func (r *resource) Resync() error { return nil }

// apply takes in an object as the reflector saw it.
func (r *resource) apply(ex *extracted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saw(ex.namespace, ex.name, ex.number)
	rec := r.index.get(ex.namespace, ex.name)
	if rec == nil && len(ex.found) == 0 || rec != nil && older(ex.number, rec.version) {
		return
	}
	g := merger{index: r.index, covers: routed, scratch: r.scratch}
	g.merge(rec, ex).version = ex.number
	r.scratch = g.scratch
	r.flush(&g.change, nil)
}

// routed reports whether m was asked, as it is now, when it was decided which
// specs select ex.
func routed(m *member, ex *extracted) bool {
	return m.changed <= ex.sequence && m.joined[ex.namespace] <= ex.sequence
}

// older reports whether version a is known to be older than b.
func older(a, b uint64) bool { return a != 0 && a < b }

// saw notes an event of the reflector.
func (r *resource) saw(namespace, name string, version uint64) {
	r.version = version
	if r.seen != nil {
		r.seen[names{namespace, name}] = version
	}
}

// Delete takes in that an object was deleted.
func (r *resource) Delete(o any) error {
	gone, ok := o.(*object)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	version := versionNumber(gone.version)
	r.saw(gone.namespace, gone.name, version)
	rec := r.index.get(gone.namespace, gone.name)
	if rec == nil || older(version, rec.version) {
		return nil // of an object that was created again since
	}
	g := merger{index: r.index, covers: always, scratch: r.scratch}
	g.merge(rec, &extracted{object: *gone})
	r.scratch = g.scratch
	r.flush(&g.change, nil)
	return nil
}

func always(*member, *extracted) bool { return true }

// Replace takes in a complete list of all objects.
func (r *resource) Replace(list []any, version string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	number := versionNumber(version)
	// A record that is newer than the list comes from a backfill, and events
	// that explain it will follow; unless the API server's history was lost,
	// as when its etcd was restored.
	ahead := func(rec *record) bool { return number != 0 && number >= r.version && rec.version > number }
	g := merger{index: r.index, covers: routed}
	listed := map[*record]struct{}{}
	for i, item := range list {
		ex, ok := item.(*extracted)
		list[i] = nil
		if !ok {
			continue
		}
		rec := r.index.get(ex.namespace, ex.name)
		if rec == nil && len(ex.found) == 0 {
			continue
		}
		if g.fill = rec != nil && ahead(rec); g.fill {
			g.merge(rec, ex)
		} else {
			rec = g.merge(rec, ex)
			rec.version = ex.number
		}
		listed[rec] = struct{}{}
		if len(g.change.put) >= batchSize {
			r.putRows(&g.change)
		}
	}
	g.fill = false
	lost := number < r.version
	for _, p := range r.index {
		g.filter(p, func(rec *record, e entry) bool {
			_, ok := listed[rec]
			// Nobody may have looked for the rows of a member that is not as it
			// was when the list began: they stay until all are listed for it.
			return ok || ahead(rec) || e.spec.member.frozen || e.spec.member.latest > r.began
		})
		if lost {
			p.forgetVersions(listed)
		}
	}
	r.listed(number)
	r.flush(&g.change, r.members)
	return nil
}

// listed notes that a complete list was taken in.
func (r *resource) listed(version uint64) {
	r.lists++
	r.version = version
	for m := range r.members {
		if m.spec == nil || m.frozen {
			continue
		}
		if m.latest <= r.began {
			delete(r.requests, m)
			m.synced, m.problem = true, ""
			continue
		}
		// The list began before the target was as it is. What it says of the
		// target's objects is not the whole truth, and neither is what the
		// target has of them, so all are to be listed for it again.
		r.renew(m, m.scope)
	}
	r.signal()
}
