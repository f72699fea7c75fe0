package inventory

import (
	"iter"
	"slices"
)

// items is a persistent sorted set of numbers, a B+ tree. **It never changes.**
// A nil items is empty. It takes 9 to 10 bytes a number, which the garbage
// collector does not look at, and edits in order are made in one pass: a batch
// costs little more than copying what it touches.
type items struct {
	// keys are the numbers of a leaf, or the first number below each child.
	keys     []uint64
	children []*items // all of one height; nil for a leaf
}

const (
	leafItems   = 128
	branchItems = 64
	// A leaf or branch with less than 1/sparse of what it may have is joined with
	// its neighbour.
	sparse = 4
)

// apply returns the set without what is removed and with what is added, both in
// order and without repetitions. What is added may be there already, and what is
// removed not.
func (n *items) apply(removed, added []uint64) *items {
	if len(removed) == 0 && len(added) == 0 {
		return n
	}
	if n == nil {
		n = &items{}
	}
	level := n.edit(removed, added)
	for len(level) > 1 {
		level = branches(level)
	}
	if len(level) == 0 {
		return nil
	}
	top := level[0]
	for len(top.children) == 1 {
		top = top.children[0]
	}
	return top
}

// edit returns what is to stand in the node's place, which is of its height.
func (n *items) edit(removed, added []uint64) []*items {
	if n.children == nil {
		var scratch [leafItems + 32]uint64
		return leaves(merge(scratch[:0], n.keys, removed, added))
	}
	children := make([]*items, 0, len(n.children)+2)
	for i, child := range n.children {
		r, a := removed, added
		if i+1 < len(n.keys) {
			r, a = below(removed, n.keys[i+1]), below(added, n.keys[i+1])
		}
		removed, added = removed[len(r):], added[len(a):]
		if len(r) == 0 && len(a) == 0 {
			children = append(children, child)
		} else {
			children = append(children, child.edit(r, a)...)
		}
	}
	return branches(join(children))
}

// below returns the part of ordered numbers that is less than end.
func below(numbers []uint64, end uint64) []uint64 {
	if len(numbers) == 0 || numbers[0] >= end {
		return nil
	}
	i, _ := slices.BinarySearch(numbers, end)
	return numbers[:i]
}

// merge appends old without what is removed and with what is added.
func merge(merged, old, removed, added []uint64) []uint64 {
	for len(removed) > 0 || len(added) > 0 {
		adds := len(removed) == 0 || len(added) > 0 && added[0] <= removed[0]
		var next uint64
		if adds {
			next, added = added[0], added[1:]
		} else {
			next, removed = removed[0], removed[1:]
		}
		i, found := slices.BinarySearch(old, next)
		merged = append(merged, old[:i]...)
		if found {
			i++
		}
		old = old[i:]
		if adds {
			merged = append(merged, next)
		}
	}
	return append(merged, old...)
}

// leaves returns leaves with copies of the numbers.
func leaves(numbers []uint64) []*items {
	var nodes []*items
	for part := range parts(len(numbers), leafItems) {
		nodes = append(nodes, &items{keys: slices.Clone(numbers[:part])})
		numbers = numbers[part:]
	}
	return nodes
}

// branches returns branches of the children.
func branches(children []*items) []*items {
	var nodes []*items
	for part := range parts(len(children), branchItems) {
		b := &items{keys: make([]uint64, part), children: slices.Clone(children[:part])}
		for i, child := range b.children {
			b.keys[i] = child.keys[0]
		}
		nodes = append(nodes, b)
		children = children[part:]
	}
	return nodes
}

// parts yields the sizes of as few parts of n as there can be with no more than
// most each, all alike.
func parts(n, most int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for left := (n + most - 1) / most; left > 0; left-- {
			part := n / left
			if n -= part; !yield(part) {
				return
			}
		}
	}
}

// join joins nodes of one height that have become small with those before them.
func join(nodes []*items) []*items {
	joined := nodes[:0]
	for i, n := range nodes {
		last := len(joined) - 1
		switch {
		case last < 0 || !n.sparse() && !joined[last].sparse(), len(n.keys)+len(joined[last].keys) > n.most():
			joined = append(joined, n)
		case n.children == nil:
			joined[last] = &items{keys: slices.Concat(joined[last].keys, n.keys)}
		default:
			joined[last] = branches(slices.Concat(joined[last].children, nodes[i].children))[0]
		}
	}
	return joined
}

func (n *items) most() int {
	if n.children == nil {
		return leafItems
	}
	return branchItems
}

func (n *items) sparse() bool { return len(n.keys) < n.most()/sparse }

// ceil returns the leaf and the place in it of the first number that is not less
// than from; the leaf is empty if there is none.
func (n *items) ceil(from uint64) (leaf []uint64, i int) {
	var next *items
	for n != nil && n.children != nil {
		i, found := slices.BinarySearch(n.keys, from)
		if !found && i > 0 {
			i--
		}
		if i+1 < len(n.children) {
			next = n.children[i+1]
		}
		n = n.children[i]
	}
	if n == nil {
		return nil, 0
	}
	i, _ = slices.BinarySearch(n.keys, from)
	switch {
	case i < len(n.keys):
		return n.keys, i
	case next == nil:
		return nil, 0
	}
	for next.children != nil {
		next = next.children[0]
	}
	return next.keys, 0
}

// cursor reads a range of a set in order.
type cursor struct {
	set  *items
	leaf []uint64 // from the current number on; empty at the end
	end  uint64   // the last number of the range
	done bool     // there is no more
}

// seek goes to the first number of the range that is not less than from, which
// rises, and reports whether there is one.
func (c *cursor) seek(from uint64) bool {
	if n := len(c.leaf); n > 0 && c.leaf[n-1] >= from {
		if c.leaf[0] < from {
			c.leaf = c.leaf[1:] // mostly it is the next
		}
		if c.leaf[0] < from {
			i, _ := slices.BinarySearch(c.leaf, from)
			c.leaf = c.leaf[i:]
		}
	} else {
		leaf, i := c.set.ceil(from)
		c.leaf = leaf[i:]
	}
	c.done = len(c.leaf) == 0 || c.leaf[0] > c.end
	return !c.done
}

// len returns how many numbers there are. It looks at all nodes.
func (n *items) len() int {
	if n == nil {
		return 0
	}
	if n.children == nil {
		return len(n.keys)
	}
	count := 0
	for _, child := range n.children {
		count += child.len()
	}
	return count
}
