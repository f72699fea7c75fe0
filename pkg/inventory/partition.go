package inventory

import (
	"cmp"
	"strings"
)

// Partition is what rights are given for: the objects of one resource in one
// namespace. Objects without a namespace are in none.
type Partition struct{ Group, Resource, Namespace string }

// prefix is what the keys of a partition's parts start with. They are ordered by
// resource and then by namespace, as namespace/name is ordered.
func (p Partition) prefix() string {
	return p.Group + "\x00" + p.Resource + "\x00" + p.Namespace + "/"
}

// end is before the keys of the next partition's parts, and after those of this.
func (p Partition) end() string {
	return p.Group + "\x00" + p.Resource + "\x00" + p.Namespace + "0" // which follows a slash
}

// Compare orders partitions by namespace, as namespace/name is ordered, and then
// by resource.
func (p Partition) Compare(other Partition) int {
	return cmp.Or(
		CompareNamespaces(p.Namespace, other.Namespace),
		strings.Compare(p.Group, other.Group),
		strings.Compare(p.Resource, other.Resource),
	)
}

// CompareNamespaces orders namespaces as namespace/name is ordered.
func CompareNamespaces(a, b string) int {
	n := min(len(a), len(b))
	if c := strings.Compare(a[:n], b[:n]); c != 0 || len(a) == len(b) {
		return c
	}
	if len(a) == n {
		return cmp.Compare('/', b[n])
	}
	return cmp.Compare(a[n], '/')
}

// Partition is the one that the row is in; its namespace is empty if it is in
// none.
func (r *Row) Partition() Partition {
	return Partition{Group: r.resource.Group, Resource: r.resource.Resource, Namespace: r.namespace}
}

// Part has the rows of one inventory in one partition. **A Part never changes.**
type Part struct {
	Partition Partition
	Inventory Ref
	root      *node
}

// Len returns the number of rows.
func (p *Part) Len() int { return p.root.len() }

// Get returns the entry of key.
func (p *Part) Get(key Key) (Entry, bool) { return p.root.get(key) }

// Rank returns how many rows come before key.
func (p *Part) Rank(key Key) int { return p.root.rank(key) }

// From yields the entries from key on, in the order of their keys.
func (p *Part) From(key Key) *Walk {
	w := &Walk{}
	w.descend(p.root, 0, key)
	return w
}

// Walk reads entries in the order of their keys. It is not safe for concurrent
// use.
type Walk struct {
	leaf []item
	rest []*node // what follows the leaf, the next last
}

// Next returns the next entry, or false at the end. **It must not be changed.**
func (w *Walk) Next() (*Entry, bool) {
	for len(w.leaf) == 0 {
		last := len(w.rest) - 1
		if last < 0 {
			return nil, false
		}
		n := w.rest[last]
		w.rest = w.rest[:last]
		w.descend(n, 0, Key{})
	}
	e := &w.leaf[0].Entry
	w.leaf = w.leaf[1:]
	return e, true
}

// descend goes to the first leaf of n that may have from or a later key.
func (w *Walk) descend(n *node, depth int, from Key) {
	for ; n != nil && n.branch != nil; depth++ {
		digit := 0
		if from != (Key{}) {
			digit = from.digit(depth)
		}
		for i := fanout - 1; i > digit; i-- {
			if c := n.branch.child[i]; c != nil {
				w.rest = append(w.rest, c)
			}
		}
		n = n.branch.child[digit]
	}
	if n != nil {
		i := 0
		if from != (Key{}) {
			i, _ = findKey(n.items, from)
		}
		w.leaf = n.items[i:]
	}
}
