package inventory

import (
	"crypto/sha256"
	"slices"
)

// Entry is a row in its place in an inventory.
type Entry struct {
	Key Key
	Row *Row
	// Version is the store's version at which the row was last changed in this
	// inventory.
	Version uint64
}

// A node is the root of a persistent binary radix tree over keys, whose leaves
// hold up to leafSize entries. **A node never changes.** The shape of a tree
// depends on its keys alone: a range of keys is a leaf if, and only if, it has
// at most leafSize entries. So equal contents give equal hashes, and two trees
// can be compared branch by branch. Keys are digests: they spread evenly, and a
// tree of n entries is about log2(n/leafSize)+1 deep.
//
// A nil node is an empty tree.
type node struct {
	hash    [sha256.Size]byte
	count   int
	child   [2]*node // of a branch; one may be nil
	entries []Entry  // of a leaf, ordered by key
}

const leafSize = 32

// edit puts the entry's row, or removes the key when the row is nil.
type edit = Entry

func newLeaf(entries []Entry) *node {
	if len(entries) == 0 {
		return nil
	}
	n := &node{count: len(entries), entries: entries}
	buf := make([]byte, 0, 1+leafSize*32)
	buf = append(buf, 0)
	for i := range entries {
		buf = append(buf, entries[i].Key[:]...)
		buf = append(buf, entries[i].Row.hash[:]...)
	}
	n.hash = sha256.Sum256(buf)
	return n
}

func newBranch(left, right *node) *node {
	n := &node{count: left.len() + right.len(), child: [2]*node{left, right}}
	var buf [1 + 2*sha256.Size]byte
	buf[0] = 1
	for i, c := range n.child {
		if c != nil {
			copy(buf[1+i*sha256.Size:], c.hash[:])
		}
	}
	n.hash = sha256.Sum256(buf[:])
	return n
}

// join makes the tree of two neighbouring ranges.
func join(left, right *node) *node {
	if left.len()+right.len() > leafSize {
		return newBranch(left, right)
	}
	entries := make([]Entry, 0, left.len()+right.len())
	for _, side := range [...]*node{left, right} {
		side.ascend(0, Key{}, func(e Entry) bool {
			entries = append(entries, e)
			return true
		})
	}
	return newLeaf(entries)
}

// build makes the tree of entries, which are ordered by key and agree in their
// first depth bits.
func build(entries []Entry, depth int) *node {
	if len(entries) <= leafSize {
		return newLeaf(slices.Clone(entries))
	}
	i := splitAt(entries, depth)
	return newBranch(build(entries[:i], depth+1), build(entries[i:], depth+1))
}

// splitAt returns the index of the first entry whose bit at depth is 1.
func splitAt(entries []Entry, depth int) int {
	i, _ := slices.BinarySearchFunc(entries, byte(1), func(e Entry, bit byte) int {
		return int(e.Key.bit(depth)) - int(bit)
	})
	return i
}

func (n *node) len() int {
	if n == nil {
		return 0
	}
	return n.count
}

func (n *node) leaf() bool { return n.entries != nil }

// apply returns the tree with edits made, which are ordered by key and have no
// two of a key. It costs O(log n) an edit.
func (n *node) apply(edits []edit, depth int) *node {
	switch {
	case len(edits) == 0:
		return n
	case n == nil:
		return build(slices.DeleteFunc(slices.Clone(edits), func(e edit) bool { return e.Row == nil }), depth)
	case n.leaf():
		return build(mergeEdits(n.entries, edits), depth)
	}
	i := splitAt(edits, depth)
	left, right := n.child[0].apply(edits[:i], depth+1), n.child[1].apply(edits[i:], depth+1)
	if left == n.child[0] && right == n.child[1] {
		return n
	}
	return join(left, right)
}

func mergeEdits(entries []Entry, edits []edit) []Entry {
	merged := make([]Entry, 0, len(entries)+len(edits))
	for _, e := range edits {
		i, found := findKey(entries, e.Key)
		merged = append(merged, entries[:i]...)
		if e.Row != nil {
			merged = append(merged, e)
		}
		if found {
			i++
		}
		entries = entries[i:]
	}
	return append(merged, entries...)
}

func findKey(entries []Entry, key Key) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e Entry, k Key) int { return e.Key.Compare(k) })
}

// get returns the entry of key.
func (n *node) get(key Key) (Entry, bool) {
	for depth := 0; n != nil; depth++ {
		if n.leaf() {
			if i, found := findKey(n.entries, key); found {
				return n.entries[i], true
			}
			break
		}
		n = n.child[key.bit(depth)]
	}
	return Entry{}, false
}

// rank returns how many entries have a smaller key.
func (n *node) rank(key Key) int {
	rank := 0
	for depth := 0; n != nil; depth++ {
		if n.leaf() {
			i, _ := findKey(n.entries, key)
			return rank + i
		}
		bit := key.bit(depth)
		if bit == 1 {
			rank += n.child[0].len()
		}
		n = n.child[bit]
	}
	return rank
}

// ascend yields the entries from key on, in order, until yield returns false.
// It reports whether it came to the end.
func (n *node) ascend(depth int, from Key, yield func(Entry) bool) bool {
	switch {
	case n == nil:
		return true
	case n.leaf():
		i := 0
		if from != (Key{}) {
			i, _ = findKey(n.entries, from)
		}
		for _, e := range n.entries[i:] {
			if !yield(e) {
				return false
			}
		}
		return true
	case from == (Key{}):
		return n.child[0].ascend(depth+1, from, yield) && n.child[1].ascend(depth+1, from, yield)
	case from.bit(depth) == 0:
		return n.child[0].ascend(depth+1, from, yield) && n.child[1].ascend(depth+1, Key{}, yield)
	default:
		return n.child[1].ascend(depth+1, from, yield)
	}
}

// diffNodes yields what differs in content from a to b, in the order of keys,
// until yield returns false. Equal branches are not entered.
func diffNodes(a, b *node, yield func(before, after Entry) bool) bool {
	switch {
	case a == b || a != nil && b != nil && a.hash == b.hash:
		return true
	case a != nil && b != nil && !a.leaf() && !b.leaf():
		return diffNodes(a.child[0], b.child[0], yield) && diffNodes(a.child[1], b.child[1], yield)
	}
	return mergeDiff(a, b, yield)
}

// mergeDiff compares two ranges of which at least one is a leaf or empty, so
// that one has few entries, or all of the other differ.
func mergeDiff(a, b *node, yield func(before, after Entry) bool) bool {
	if a != nil && !a.leaf() {
		return mergeDiff(b, a, func(before, after Entry) bool { return yield(after, before) })
	}
	var olds []Entry
	if a != nil {
		olds = a.entries
	}
	more := b.ascend(0, Key{}, func(e Entry) bool {
		for len(olds) > 0 && olds[0].Key.Compare(e.Key) < 0 {
			if !yield(olds[0], Entry{}) {
				return false
			}
			olds = olds[1:]
		}
		if len(olds) > 0 && olds[0].Key == e.Key {
			old := olds[0]
			olds = olds[1:]
			return old.Row.hash == e.Row.hash || yield(old, e)
		}
		return yield(Entry{}, e)
	})
	for ; more && len(olds) > 0; olds = olds[1:] {
		more = yield(olds[0], Entry{})
	}
	return more
}
