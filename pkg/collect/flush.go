package collect

import (
	"cmp"
	"slices"

	"kollect.io/kollect/pkg/inventory"
)

// batchSize is how many rows one update of the store puts, so that those of
// other resources do not wait long.
const batchSize = 5000

// publish tells the store the state of the members. The caller has the lock.
func (r *resource) publish(members map[*member]struct{}) {
	r.flush(&change{}, members)
}

// flush brings a change and the state of members into the store. All rows are
// put before any is removed, and the states come last. The caller has the lock.
func (r *resource) flush(c *change, members map[*member]struct{}) {
	last := len(c.put) + len(c.removed)
	if last > batchSize {
		r.putRows(c)
		for batch := range slices.Chunk(c.removed, batchSize) {
			r.collector.store.Update(func(tx *inventory.Tx) { removeRows(tx, batch) })
		}
		c.removed = nil
	}
	if len(c.put)+len(c.removed)+len(members) > 0 {
		r.collector.store.Update(func(tx *inventory.Tx) {
			putRows(tx, c.put)
			removeRows(tx, c.removed)
			for m := range members {
				if !m.gone.Load() {
					tx.SetTargetState(*m.ref, r.state(m))
				}
			}
		})
	}
	for m := range members {
		r.collector.changed(*m.ref)
	}
	for m := range c.news {
		if _, told := members[m]; !told {
			r.collector.changed(*m.ref)
		}
	}
}

// putRows brings the rows that a change puts into the store.
func (r *resource) putRows(c *change) {
	for batch := range slices.Chunk(c.put, batchSize) {
		r.collector.store.Update(func(tx *inventory.Tx) { putRows(tx, batch) })
	}
	clear(c.put)
	c.put = c.put[:0]
}

func putRows(tx *inventory.Tx, rows []placed) {
	for _, p := range rows {
		if !p.member.gone.Load() {
			tx.Put(p.row, p.version)
		}
	}
}

func removeRows(tx *inventory.Tx, rows []placed) {
	for _, p := range rows {
		if !p.member.gone.Load() {
			tx.Remove(p.row)
		}
	}
}

// sweep keeps the entries for which keep returns true, and publishes the state
// of members. The caller has the lock.
func (r *resource) sweep(keep func(*record, entry) bool, members map[*member]struct{}) {
	g := merger{index: r.index}
	for _, p := range r.index {
		g.filter(p, keep)
	}
	r.flush(&g.change, members)
}

// state is what is known of a target's source.
func (r *resource) state(m *member) inventory.TargetState {
	state := inventory.TargetState{Synced: m.synced, Stale: true}
	namespaces := ""
	if m.target.needsNamespaces() || m.waiting != nil {
		namespaces = r.collector.namespaces.outage()
	}
	switch outage := r.outages.message(); {
	case m.frozen:
		state.Message = cmp.Or(m.target.SuspendReason, "the target is suspended")
	case outage != "":
		state.Message = outage
	case namespaces != "":
		state.Message = namespaces
	case m.problem != "":
		state.Message = m.problem
	default:
		state.Stale = false
		switch {
		case m.waiting != nil:
			state.Message = "waiting for the list of namespaces"
		case !m.synced:
			state.Message = "waiting for the first list of " + r.gvr.GroupResource().String()
		}
	}
	return state
}
