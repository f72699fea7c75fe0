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

// A node is the root of a persistent radix tree over keys, whose leaves hold up
// to leafSize entries. **A node never changes.** The shape of a tree depends on
// its keys alone: a range of keys is a leaf if, and only if, it has at most
// leafSize entries. So equal contents give equal hashes, and two trees can be
// compared branch by branch. Keys are digests: they spread evenly, and a tree of
// n entries is about log16(n/leafSize)+1 deep.
//
// A nil node is an empty tree.
type node struct {
	hash    [sha256.Size]byte
	count   int
	branch  *branch // nil for a leaf
	entries []Entry // of a leaf, ordered by key
}

// branch holds the children of a node by the next digit of their keys. Their
// hashes lie beside them so that a new branch's hash reads one block of memory.
type branch struct {
	hashes [fanout][sha256.Size]byte // zero for an empty child
	child  [fanout]*node
}

const (
	leafSize  = 32
	digitBits = 4
	fanout    = 1 << digitBits
)

// The hash of a leaf covers its keys and row hashes, that of a branch its
// children's hashes; the last byte tells them apart.
const (
	leafMark   = 0
	branchMark = 1
)

// edit puts the entry's row, or removes the key when the row is nil.
type edit = Entry

// newLeaf returns the leaf of entries, which it keeps.
func newLeaf(entries []Entry) *node {
	if len(entries) == 0 {
		return nil
	}
	buf := make([]byte, 0, leafSize*(len(Key{})+len(RowHash{}))+1)
	for i := range entries {
		buf = append(buf, entries[i].Key[:]...)
		buf = append(buf, entries[i].Row.hash[:]...)
	}
	buf = append(buf, leafMark)
	return &node{hash: sha256.Sum256(buf), count: len(entries), entries: entries}
}

// newBranch returns the branch of count entries.
func newBranch(b *branch, count int) *node {
	var buf [fanout*sha256.Size + 1]byte
	for i := range b.hashes {
		copy(buf[i*sha256.Size:], b.hashes[i][:])
	}
	buf[len(buf)-1] = branchMark
	return &node{hash: sha256.Sum256(buf[:]), count: count, branch: b}
}

func (b *branch) set(digit int, child *node) {
	b.child[digit] = child
	b.hashes[digit] = [sha256.Size]byte{}
	if child != nil {
		b.hashes[digit] = child.hash
	}
}

// build makes the tree of entries, which are ordered by key and agree in their
// first depth digits.
func build(entries []Entry, depth int) *node {
	if len(entries) <= leafSize {
		return newLeaf(slices.Clone(entries))
	}
	b := &branch{}
	for rest := entries; len(rest) > 0; {
		digit, i := firstDigit(rest, depth)
		b.set(digit, build(rest[:i], depth+1))
		rest = rest[i:]
	}
	return newBranch(b, len(entries))
}

// firstDigit returns the first entry's digit at depth and how many entries have
// it; entries are ordered by key and not empty.
func firstDigit(entries []Entry, depth int) (digit, n int) {
	digit = entries[0].Key.digit(depth)
	if last := len(entries) - 1; entries[last].Key.digit(depth) == digit {
		return digit, last + 1
	}
	n, _ = slices.BinarySearchFunc(entries, digit+1, func(e Entry, d int) int { return e.Key.digit(depth) - d })
	return digit, n
}

func (n *node) len() int {
	if n == nil {
		return 0
	}
	return n.count
}

// apply returns the tree with edits made, which are ordered by key and have no
// two of a key. It costs O(log n) an edit.
func (n *node) apply(edits []edit, depth int) *node {
	switch {
	case len(edits) == 0:
		return n
	case n == nil:
		return build(slices.DeleteFunc(slices.Clone(edits), func(e edit) bool { return e.Row == nil }), depth)
	case n.branch == nil:
		var scratch [2 * leafSize]Entry
		return build(mergeEdits(scratch[:0], n.entries, edits), depth)
	}
	b, count := *n.branch, n.count
	for len(edits) > 0 {
		digit, i := firstDigit(edits, depth)
		child := b.child[digit].apply(edits[:i], depth+1)
		count += child.len() - b.child[digit].len()
		b.set(digit, child)
		edits = edits[i:]
	}
	if count > leafSize {
		return newBranch(&b, count)
	}
	return b.leaf(count)
}

// leaf returns the leaf of the branch's count entries.
func (b *branch) leaf(count int) *node {
	entries := make([]Entry, 0, count)
	for _, c := range b.child {
		c.visit(func(e *Entry) bool {
			entries = append(entries, *e)
			return true
		})
	}
	return newLeaf(entries)
}

// mergeEdits appends the entries with edits made.
func mergeEdits(merged, entries []Entry, edits []edit) []Entry {
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
		if n.branch == nil {
			if i, found := findKey(n.entries, key); found {
				return n.entries[i], true
			}
			break
		}
		n = n.branch.child[key.digit(depth)]
	}
	return Entry{}, false
}

// rank returns how many entries have a smaller key.
func (n *node) rank(key Key) int {
	rank := 0
	for depth := 0; n != nil; depth++ {
		if n.branch == nil {
			i, _ := findKey(n.entries, key)
			return rank + i
		}
		digit := key.digit(depth)
		for _, before := range n.branch.child[:digit] {
			rank += before.len()
		}
		n = n.branch.child[digit]
	}
	return rank
}

// ascend yields the entries from key on, in order, until yield returns false.
// It reports whether it came to the end.
func (n *node) ascend(depth int, from Key, yield func(Entry) bool) bool {
	switch {
	case n == nil:
		return true
	case n.branch == nil:
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
	}
	digit := from.digit(depth)
	if !n.branch.child[digit].ascend(depth+1, from, yield) {
		return false
	}
	for _, c := range n.branch.child[digit+1:] {
		if !c.ascend(depth+1, Key{}, yield) {
			return false
		}
	}
	return true
}

// visit yields the entries in place, in order, until yield returns false. It
// reports whether it came to the end.
func (n *node) visit(yield func(*Entry) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.entries {
		if !yield(&n.entries[i]) {
			return false
		}
	}
	if n.branch != nil {
		for _, c := range n.branch.child {
			if !c.visit(yield) {
				return false
			}
		}
	}
	return true
}
