package inventory

import "iter"

// Leaf is entries of a snapshot with no other between them: those of one leaf of
// its tree. **A Leaf never changes.** Snapshots of one inventory share the leaves
// in which they do not differ. The zero Leaf is none.
type Leaf struct{ node *node }

// Leaves yields, in order, the leaves that can have entries from a key on and
// before end, which is nil for all: not those that lie before or after the range.
func (s *Snapshot) Leaves(from Key, end *Key) iter.Seq[Leaf] {
	return func(yield func(Leaf) bool) {
		s.root.leaves(0, from, func(n *node) bool {
			return (end == nil || n.items[0].Key.Compare(*end) < 0) && yield(Leaf{n})
		})
	}
}

// IsZero reports whether the leaf is none.
func (l Leaf) IsZero() bool { return l.node == nil }

// Within reports whether all entries are from a key on and before end.
func (l Leaf) Within(from Key, end *Key) bool {
	if from == (Key{}) && end == nil {
		return true // without a look at its memory
	}
	items := l.node.items
	return items[0].Key.Compare(from) >= 0 && (end == nil || items[len(items)-1].Key.Compare(*end) < 0)
}

// From yields the entries from a key on, in order.
func (l Leaf) From(key Key) iter.Seq[Entry] {
	return func(yield func(Entry) bool) { l.node.ascend(0, key, yield) }
}

// leaves yields the leaves that have entries from a key on, in order, until yield
// returns false. It reports whether it came to the end.
func (n *node) leaves(depth int, from Key, yield func(*node) bool) bool {
	switch {
	case n == nil:
		return true
	case n.branch == nil:
		if from != (Key{}) && n.items[len(n.items)-1].Key.Compare(from) < 0 {
			return true
		}
		return yield(n)
	}
	digit := from.digit(depth)
	if !n.branch.child[digit].leaves(depth+1, from, yield) {
		return false
	}
	for _, c := range n.branch.child[digit+1:] {
		if !c.leaves(depth+1, Key{}, yield) {
			return false
		}
	}
	return true
}
