package inventory

import (
	"iter"
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// partitions finds the rows of a partition. Copies share what they have in
// common. The zero value is of a store that does not keep them.
type partitions struct {
	parts *btree.Map[string, *Part] // by prefix of the partition and position of the inventory
	born  *btree.Map[uint64, Partition]
	last  uint64 // number of the partition that appeared last
	// appearances is the writer's; copies have none.
	appearances map[Partition]appearance
}

// appearance is what the writer knows of a partition that has rows.
type appearance struct {
	parts  int
	number uint64
}

func newPartitions() partitions {
	return partitions{
		parts: &btree.Map[string, *Part]{}, born: &btree.Map[uint64, Partition]{}, appearances: map[Partition]appearance{},
	}
}

func (p *partitions) kept() bool { return p.parts != nil }

// from calls next with the parts from a key on.
func (p *partitions) from(start string, next func(string, *Part) bool) {
	if p.kept() {
		p.parts.Ascend(start, next)
	}
}

// bornFrom calls next with the partitions from a number on.
func (p *partitions) bornFrom(number uint64, next func(uint64, Partition) bool) {
	if p.kept() {
		p.born.Ascend(number, next)
	}
}

func (p *partitions) copy() partitions {
	if !p.kept() {
		return partitions{}
	}
	return partitions{parts: p.parts.Copy(), born: p.born.Copy(), last: p.last}
}

// KeepPartitions has the store find rows by partition from now on, which takes
// memory and time for each row that changes. States that were taken before do not
// know of partitions. The first call reads all rows; writers do not wait for that.
func (s *Store) KeepPartitions() {
	if s.State().partitions.kept() {
		return
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	state := s.State()
	if state.partitions.kept() {
		return
	}
	cursor, err := s.Follow(state.Version)
	for err != nil { // it was forgotten since it was taken
		state = s.State()
		cursor, err = s.Follow(state.Version)
	}
	p := newPartitions()
	for _, scope := range []Scope{Cluster, Namespaced} {
		for snapshot := range state.Snapshots(scope, "") {
			m := moves{}
			for e := range snapshot.All() {
				m.move(snapshot.inventory.Ref, e.Key, nil, e)
			}
			p.apply(m)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for cursor.after != s.version {
		m := moves{}
		events, _ := cursor.Next()
		for i := range events {
			m.event(&events[i])
		}
		p.apply(m)
	}
	s.partitions = p
	s.state.Store(s.newState())
}

// PartitionNumber is that of the partition that appeared last. It rises when
// another appears, or one again that had no rows for a time.
func (s *State) PartitionNumber() uint64 { return s.partitions.last }

// PartitionsAfter yields the partitions that have rows and appeared after that of
// the number, in the order in which they did. The state must be the newest.
func (s *State) PartitionsAfter(number uint64) iter.Seq[Partition] {
	return func(yield func(Partition) bool) {
		s.partitions.bornFrom(number+1, func(_ uint64, p Partition) bool { return yield(p) })
	}
}

// NextResource returns the first partition of the first resource after the given
// one, and false if there is none.
func (s *State) NextResource(group, resource string) (Partition, bool) {
	return s.firstPartition(group + "\x00" + resource + "\x01")
}

// NextPartition returns the first partition after the given one, in the order of
// group, resource, and namespace as namespace/name is ordered.
func (s *State) NextPartition(after Partition) (Partition, bool) {
	return s.firstPartition(after.end())
}

// HasPartition reports whether a partition has rows.
func (s *State) HasPartition(p Partition) bool {
	first, ok := s.firstPartition(p.prefix())
	return ok && first == p
}

// PartitionFrom returns the first partition of the resource whose namespace is
// not before from, as namespace/name is ordered.
func (s *State) PartitionFrom(group, resource, from string) (Partition, bool) {
	start := Partition{Group: group, Resource: resource, Namespace: from}.prefix()
	if from == "" {
		start = start[:len(start)-1]
	}
	p, ok := s.firstPartition(start)
	return p, ok && p.Group == group && p.Resource == resource
}

func (s *State) firstPartition(start string) (p Partition, ok bool) {
	s.partitions.from(start, func(_ string, part *Part) bool {
		p, ok = part.Partition, true
		return false
	})
	return p, ok
}

// Partitions yields all partitions in the order of NextPartition, beginning after
// one of them and ending with it.
func (s *State) Partitions(after Partition) iter.Seq[Partition] {
	return func(yield func(Partition) bool) {
		var last Partition
		start, more := after.end(), true
		next := func(part *Part) bool {
			if part.Partition != last {
				last = part.Partition
				more = yield(last)
			}
			return more
		}
		s.partitions.from(start, func(_ string, part *Part) bool { return next(part) })
		if more {
			s.partitions.from("", func(at string, part *Part) bool { return at < start && next(part) })
		}
	}
}

// Parts yields the parts of a partition, in the order of their inventories.
func (s *State) Parts(p Partition) iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		s.partitions.from(p.prefix(), func(_ string, part *Part) bool {
			return part.Partition == p && yield(part)
		})
	}
}

// partKey tells parts apart.
type partKey struct {
	Partition
	inventory Ref
}

func (k partKey) text() string { return k.prefix() + k.inventory.position() }

// moves are the edits of parts, in order of arrival.
type moves map[partKey][]edit

// move notes that a row of an inventory changed from before to after; nil is
// none.
func (m moves) move(inventory Ref, key Key, before *Row, after Entry) {
	if m == nil {
		return // nobody keeps partitions
	}
	var from, to partKey
	if before != nil {
		from = partKey{before.Partition(), inventory}
	}
	if after.Row != nil {
		to = partKey{after.Row.Partition(), inventory}
	}
	if from.Namespace != "" && from != to {
		m[from] = append(m[from], edit{Key: key})
	}
	if to.Namespace != "" {
		m[to] = append(m[to], after)
	}
}

// event notes what an event changes.
func (m moves) event(e *Event) {
	if e.Before.Row != nil || e.After.Row != nil {
		key := e.After.Key
		if e.After.Row == nil {
			key = e.Before.Key
		}
		m.move(e.Inventory.Ref, key, e.Before.Row, e.After)
	}
}

// apply makes the edits.
func (p *partitions) apply(m moves) {
	keys := make([]partKey, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b partKey) int { return strings.Compare(a.text(), b.text()) })
	for _, key := range keys {
		at := key.text()
		var root *node
		old, was := p.parts.Get(at)
		if was {
			root = old.root
		}
		root = root.apply(lastEdits(m[key]), 0)
		switch {
		case root != nil:
			p.parts.Set(at, &Part{Partition: key.Partition, Inventory: key.inventory, root: root})
		case was:
			p.parts.Delete(at)
		}
		if was != (root != nil) {
			p.count(key.Partition, !was)
		}
	}
}

// count notes that a part of the partition appeared or vanished.
func (p *partitions) count(of Partition, appeared bool) {
	if p.appearances == nil {
		return // of the past, where nobody asks what is new
	}
	a := p.appearances[of]
	if appeared {
		a.parts++
	} else {
		a.parts--
	}
	switch {
	case a.parts == 0:
		p.born.Delete(a.number)
		delete(p.appearances, of)
		return
	case a.number == 0:
		p.last++
		a.number = p.last
		p.born.Set(a.number, of)
	}
	p.appearances[of] = a
}

// lastEdits orders edits by key and leaves the last of each.
func lastEdits(edits []edit) []edit {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.Key.Compare(b.Key) })
	last := edits[:0]
	for i, e := range edits {
		if i+1 == len(edits) || edits[i+1].Key != e.Key {
			last = append(last, e)
		}
	}
	return last
}
