package inventory

import (
	"crypto/sha256"
	"slices"
	"sort"
	"sync/atomic"
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
// n entries is about log4(n/leafSize)+1 deep.
//
// A nil node is an empty tree.
type node struct {
	hash   [sha256.Size]byte
	count  int
	branch *branch // nil for a leaf
	items  []item  // of a leaf, ordered by key

	// encoding is what Encodings know of a leaf, which is nothing that the node
	// says.
	encoding atomic.Pointer[encoding]
}

// item is an entry in a leaf. Its row's hash lies beside it, so that a new leaf's
// hash does not read all of its rows.
type item struct {
	Entry
	hash RowHash
}

// branch holds the children of a node by the next digit of their keys. Their
// hashes lie beside them so that a new branch's hash reads one block of memory.
type branch struct {
	hashes [fanout][sha256.Size]byte // zero for an empty child
	child  [fanout]*node
}

const (
	leafSize  = 32
	digitBits = 2
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

// newLeaf returns the leaf of items, which it keeps.
func newLeaf(items []item) *node {
	if len(items) == 0 {
		return nil
	}
	buf := make([]byte, 0, leafSize*(len(Key{})+len(RowHash{}))+1)
	for i := range items {
		buf = append(buf, items[i].Key[:]...)
		buf = append(buf, items[i].hash[:]...)
	}
	buf = append(buf, leafMark)
	return &node{hash: sha256.Sum256(buf), count: len(items), items: items}
}

// branchNode is a node and its branch in one piece of memory.
type branchNode struct {
	node
	branch
}

// newBranch returns a node with a copy of the branch, which is to be sealed.
func newBranch(b branch) *branchNode {
	n := &branchNode{branch: b}
	n.node.branch = &n.branch
	return n
}

// seal returns the node, with count entries, once its children are set.
func (n *branchNode) seal(count int) *node {
	var buf [fanout*sha256.Size + 1]byte
	for i := range n.hashes {
		copy(buf[i*sha256.Size:], n.hashes[i][:])
	}
	buf[len(buf)-1] = branchMark
	n.node.hash, n.node.count = sha256.Sum256(buf[:]), count
	return &n.node
}

func (b *branch) set(digit int, child *node) {
	b.child[digit] = child
	b.hashes[digit] = [sha256.Size]byte{}
	if child != nil {
		b.hashes[digit] = child.hash
	}
}

// build makes the tree of items, which are ordered by key and agree in their
// first depth digits.
func build(items []item, depth int) *node {
	if len(items) <= leafSize {
		return newLeaf(slices.Clone(items))
	}
	b := newBranch(branch{})
	for rest := items; len(rest) > 0; {
		digit := rest[0].Key.digit(depth)
		i := digitEnd(len(rest), depth, func(i int) *Key { return &rest[i].Key })
		b.set(digit, build(rest[:i], depth+1))
		rest = rest[i:]
	}
	return b.seal(len(items))
}

// digitEnd returns how many of n ordered keys have the first one's digit at
// depth.
func digitEnd(n, depth int, key func(int) *Key) int {
	digit := key(0).digit(depth)
	if key(n-1).digit(depth) == digit {
		return n
	}
	return sort.Search(n, func(i int) bool { return key(i).digit(depth) > digit })
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
		return build(mergeEdits(nil, nil, edits), depth)
	case n.branch == nil:
		var scratch [leafSize + 8]item
		return build(mergeEdits(scratch[:0], n.items, edits), depth)
	}
	b, count := newBranch(*n.branch), n.count
	for len(edits) > 0 {
		digit := edits[0].Key.digit(depth)
		i := digitEnd(len(edits), depth, func(i int) *Key { return &edits[i].Key })
		child := b.child[digit].apply(edits[:i], depth+1)
		count += child.len() - b.child[digit].len()
		b.set(digit, child)
		edits = edits[i:]
	}
	if count > leafSize {
		return b.seal(count)
	}
	return b.leaf(count)
}

// leaf returns the leaf of the branch's count items.
func (b *branch) leaf(count int) *node {
	items := make([]item, 0, count)
	for _, c := range b.child {
		if c != nil { // a leaf, since it has so few
			items = append(items, c.items...)
		}
	}
	return newLeaf(items)
}

// mergeEdits appends the items with edits made.
func mergeEdits(merged, items []item, edits []edit) []item {
	for _, e := range edits {
		i, found := findKey(items, e.Key)
		merged = append(merged, items[:i]...)
		if e.Row != nil {
			merged = append(merged, item{Entry: e, hash: e.Row.hash})
		}
		if found {
			i++
		}
		items = items[i:]
	}
	return append(merged, items...)
}

func findKey(items []item, key Key) (int, bool) {
	return slices.BinarySearchFunc(items, key, func(e item, k Key) int { return e.Key.Compare(k) })
}

// get returns the entry of key.
func (n *node) get(key Key) (Entry, bool) {
	for depth := 0; n != nil; depth++ {
		if n.branch == nil {
			if i, found := findKey(n.items, key); found {
				return n.items[i].Entry, true
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
			i, _ := findKey(n.items, key)
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
			i, _ = findKey(n.items, from)
		}
		for ; i < len(n.items); i++ {
			if !yield(n.items[i].Entry) {
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

// visit yields the items in place, in order, until yield returns false. It
// reports whether it came to the end.
func (n *node) visit(yield func(*item) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.items {
		if !yield(&n.items[i]) {
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
