package inventory

import (
	"iter"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// scan yields rows in the order of namespace/name, as etcd orders keys. Since an
// inventory's name may have dots, the rows of one whose name continues the
// other's after a dot lie between the rows of the other. Unless the place is one
// row, they are only those whose content is as it says.
func (k rows) scan(s *inventory.State, p place, from string) iter.Seq[row] {
	return flatten(k.blocks(s, p, from))
}

// blocks is scan, leaf by leaf where it yields all rows of one.
func (k rows) blocks(s *inventory.State, p place, from string) iter.Seq[block[row]] {
	return func(yield func(block[row]) bool) {
		m := merge{from: k.position(from), content: p.content, yield: yield}
		for snapshot := range k.snapshots(s, p, from) {
			if p.key != nil {
				e, ok := snapshot.Get(*p.key)
				if r := (row{snapshot.Inventory(), e}); ok && r.key() >= from && !yield(blockOf(r)) {
					return
				}
				continue
			}
			if !m.add(snapshot) {
				return
			}
		}
		m.finish()
	}
}

// count is what is left from a key on, whatever its content. It does not look at
// rows.
func (k rows) count(s *inventory.State, p place, from string) int {
	n := 0
	start := k.position(from)
	for snapshot := range k.snapshots(s, p, from) {
		if first, ok := firstKey(snapshot, start); ok {
			n += snapshot.Len() - snapshot.Rank(first)
		}
	}
	return n
}

// position turns a key into one that position can be compared with.
func (k rows) position(key string) string {
	if k.scope == inventory.Cluster && key != "" {
		return "/" + key
	}
	return key
}

// position is what the keys of an inventory's rows start with. Snapshots are
// ordered by it.
func position(ref inventory.Ref) string { return ref.Namespace + "/" + ref.Name + "." }

// snapshots yields the snapshots of the place that may have rows from a key on.
func (k rows) snapshots(s *inventory.State, p place, from string) iter.Seq[*inventory.Snapshot] {
	return func(yield func(*inventory.Snapshot) bool) {
		if p.nowhere {
			return
		}
		if p.inventory != "" && (p.namespace != "" || k.scope == inventory.Cluster) {
			if snapshot := s.Snapshot(inventory.Ref{Namespace: p.namespace, Name: p.inventory}); snapshot != nil {
				yield(snapshot)
			}
			return
		}
		namespace, name, found := strings.Cut(from, "/")
		if k.scope == inventory.Cluster {
			namespace, name = "", from
		} else if !found {
			namespace = "" // no key is like that: all inventories are looked at
		}
		// Those that the key's own inventory lies within come before it.
		start := inventory.Ref{Namespace: namespace}
		for i := range len(name) {
			if name[i] != '.' {
				continue
			}
			if outer := s.Snapshot(start); start.Name != "" && outer != nil && p.has(outer.Inventory().Ref) && !yield(outer) {
				return
			}
			start.Name = name[:i]
		}
		for snapshot := range s.SnapshotsFrom(k.scope, p.namespace, start) {
			if p.has(snapshot.Inventory().Ref) && !yield(snapshot) {
				return
			}
		}
	}
}

// firstKey returns the first key whose row's position is not before from, and
// false if there can't be one.
func firstKey(snapshot *inventory.Snapshot, from string) (inventory.Key, bool) {
	at := position(snapshot.Inventory().Ref)
	if from <= at {
		return inventory.Key{}, true
	}
	rest, within := strings.CutPrefix(from, at)
	if !within {
		return inventory.Key{}, false
	}
	return ceilKey(rest)
}

// merge yields the rows of snapshots, which are added in order, in order.
type merge struct {
	from    string
	content []inventory.Requirement
	yield   func(block[row]) bool
	open    []span // each lies within the one before
}

// span is what is left to yield of a snapshot.
type span struct {
	snapshot *inventory.Snapshot
	position string
	next     inventory.Key
	empty    bool
}

// add yields what comes before the snapshot's rows. It reports whether more is
// wanted.
func (m *merge) add(snapshot *inventory.Snapshot) bool {
	at := position(snapshot.Inventory().Ref)
	for len(m.open) > 0 && !strings.HasPrefix(at, m.open[len(m.open)-1].position) {
		if !m.close() {
			return false
		}
	}
	if len(m.open) > 0 {
		outer := &m.open[len(m.open)-1]
		if end, ok := ceilKey(at[len(outer.position):]); !ok {
			if !m.take(outer, nil) {
				return false
			}
		} else if !m.take(outer, &end) {
			return false
		}
	}
	next, ok := firstKey(snapshot, m.from)
	m.open = append(m.open, span{snapshot: snapshot, position: at, next: next, empty: !ok})
	return true
}

// finish yields the rest.
func (m *merge) finish() {
	for len(m.open) > 0 && m.close() {
	}
}

// close yields what is left of the innermost snapshot.
func (m *merge) close() bool {
	last := len(m.open) - 1
	more := m.take(&m.open[last], nil)
	m.open = m.open[:last]
	return more
}

// take yields what is left of a snapshot before end, which is nil for all.
func (m *merge) take(s *span, end *inventory.Key) bool {
	if s.empty || end != nil && end.Compare(s.next) <= 0 {
		return true
	}
	if !m.takeBlocks(s, end) {
		return false
	}
	if end != nil {
		s.next = *end
	} else {
		s.empty = true
	}
	return true
}

// takeBlocks yields the rows of a snapshot from the next on, before end.
func (m *merge) takeBlocks(s *span, end *inventory.Key) bool {
	rows := func(entries iter.Seq[inventory.Entry]) block[row] {
		return block[row]{objects: rowsBefore(s.snapshot.Inventory(), entries, end)}
	}
	if len(m.content) > 0 {
		return m.yield(rows(s.snapshot.Where(m.content, s.next)))
	}
	for leaf := range s.snapshot.Leaves(s.next, end) {
		b := rows(leaf.From(s.next))
		if leaf.Within(s.next, end) {
			b.leaf = leaf
		}
		if !m.yield(b) {
			return false
		}
	}
	return true
}

// rowsBefore yields entries of an inventory as rows, until one is not before end.
func rowsBefore(of *inventory.Inventory, entries iter.Seq[inventory.Entry], end *inventory.Key) iter.Seq[row] {
	return func(yield func(row) bool) {
		for e := range entries {
			if end != nil && e.Key.Compare(*end) >= 0 || !yield(row{of, e}) {
				return
			}
		}
	}
}

// ceilKey returns the first key whose text is not before s, and false if all
// are.
func ceilKey(s string) (inventory.Key, bool) {
	below, isKey := inventory.ParseKey(s[:min(len(s), inventory.KeyLength)])
	switch {
	case isKey && len(s) == inventory.KeyLength:
		return below, true
	case !isKey:
		if (inventory.Key{}).String() >= s {
			return inventory.Key{}, true
		}
		below = lastBelow(s)
	}
	for i := len(below) - 1; i >= 0; i-- {
		if below[i]++; below[i] != 0 {
			return below, true
		}
	}
	return inventory.Key{}, false
}

// lastBelow returns the last key whose text is before s, which that of the
// first key is.
func lastBelow(s string) inventory.Key {
	var key inventory.Key
	for i := range len(key) * 8 {
		bit := byte(1) << (7 - i%8)
		key[i/8] |= bit
		if key.String() >= s {
			key[i/8] &^= bit
		}
	}
	return key
}
