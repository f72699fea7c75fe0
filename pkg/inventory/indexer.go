package inventory

import (
	"maps"
	"slices"
)

// updateIndex makes the index that of the rows and columns. The events are what
// has happened to rows.
func (inv *inventory) updateIndex(tx *Tx, events []Event) {
	if slices.Equal(inv.index.columns, inv.def.Columns) && !slices.ContainsFunc(events, inv.index.concerns) {
		return
	}
	resources := inv.index.resources
	if inv.newResources {
		resources = slices.SortedFunc(maps.Keys(inv.kinds), resourceKind.compare)
	}
	inv.newResources = false
	inv.index = tx.store.indexer.update(inv.index, inv.root, inv.def.Columns, resources, events)
}

// indexer makes an index of an older one. It keeps room for the next.
type indexer struct {
	*index
	finder  finder // in the rows with all changes made
	removed [][]uint64
	added   [][]uint64

	// The last that were seen, which the next row mostly has too.
	target         *TargetRef
	targetDigest   uint64
	kind           *Resource
	resourceDigest uint64
	before, after  []uint64 // digests of a row's attributes, or none
}

// none is no digest.
const none = 1

// update returns the index of root, which is that of x with the rows of events
// changed, by the columns' attributes.
func (n *indexer) update(x *index, root *node, columns []Column, resources []resourceKind, events []Event) *index {
	next := &index{digester: x.digester, columns: columns, resources: resources}
	next.sets = append(make([]*items, 0, fixedSets+len(columns)), x.sets[:fixedSets]...)
	var missing []int
	for i, c := range columns {
		var set *items
		if old, found := x.column(c.Name); found {
			set = x.sets[old]
		} else {
			missing = append(missing, fixedSets+i)
		}
		next.sets = append(next.sets, set)
	}
	n.begin(next, root)
	for i := range events {
		n.change(&events[i])
	}
	for _, set := range missing {
		n.removed[set], n.added[set] = n.removed[set][:0], n.added[set][:0]
	}
	if len(missing) > 0 {
		n.scan(missing)
	}
	for i, set := range next.sets {
		next.sets[i] = set.apply(sorted(n.removed[i]), sorted(n.added[i]))
	}
	n.end()
	return next
}

// begin makes room for an index.
func (n *indexer) begin(x *index, root *node) {
	n.index, n.finder.digester, n.finder.root = x, &x.digester, root
	n.removed = slices.Grow(n.removed[:0], len(x.sets))[:len(x.sets)]
	n.added = slices.Grow(n.added[:0], len(x.sets))[:len(x.sets)]
	n.before = slices.Grow(n.before[:0], len(x.columns))[:len(x.columns)]
	n.after = slices.Grow(n.after[:0], len(x.columns))[:len(x.columns)]
}

// end forgets all but the room, of which it keeps what a batch of rows needs.
func (n *indexer) end() {
	const keep = 1 << 14
	for _, lists := range [][][]uint64{n.removed, n.added} {
		for i, list := range lists {
			if lists[i] = list[:0]; cap(list) > keep {
				lists[i] = nil
			}
		}
	}
	clear(n.finder.path)
	*n = indexer{finder: finder{path: n.finder.path[:0]}, removed: n.removed, added: n.added, before: n.before, after: n.after}
}

func sorted(numbers []uint64) []uint64 {
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// change notes what an event, which is of a row, changes.
func (n *indexer) change(e *Event) {
	switch before, after := e.Before.Row, e.After.Row; {
	case before == nil:
		for set := range fixedSets {
			n.add(set, n.fixed(set, after), &e.After.Key)
		}
		n.addAttributes(&e.After)
	case after == nil:
		for set := range fixedSets {
			n.remove(set, n.fixed(set, before), &e.Before.Key)
		}
		for i, digest := range n.attributes(before, n.before) {
			n.remove(fixedSets+i, digest, &e.Before.Key)
		}
	default:
		for set := range fixedSets {
			if !sameFixed(set, before, after) {
				n.replace(set, n.fixed(set, before), n.fixed(set, after), &e.After.Key)
			}
		}
		if before.Attributes() == after.Attributes() {
			return
		}
		is := n.attributes(after, n.after)
		for i, was := range n.attributes(before, n.before) {
			n.replace(fixedSets+i, was, is[i], &e.After.Key)
		}
	}
}

func (n *indexer) addAttributes(e *Entry) {
	for i, digest := range n.attributes(e.Row, n.after) {
		n.add(fixedSets+i, digest, &e.Key)
	}
}

func (n *indexer) replace(set int, was, is uint64, key *Key) {
	if was != is {
		n.remove(set, was, key)
		n.add(set, is, key)
	}
}

func (n *indexer) add(set int, digest uint64, key *Key) {
	if digest != none {
		n.added[set] = append(n.added[set], digest|uint64(n.prefix(key)))
	}
}

// remove notes that a row no longer has a digest. Another row, whose key starts
// alike, may have it still.
func (n *indexer) remove(set int, digest uint64, key *Key) {
	if digest == none {
		return
	}
	prefix := n.prefix(key)
	needed := !n.finder.rows(prefix, Key{}, func(e Entry) bool {
		return e.Key == *key || n.of(set, e.Row) != digest
	})
	if !needed {
		n.removed[set] = append(n.removed[set], digest|uint64(prefix))
	}
}

// of returns a row's digest of any set.
func (n *indexer) of(set int, row *Row) uint64 {
	if set < fixedSets {
		return n.fixed(set, row)
	}
	return n.attributes(row, make([]uint64, len(n.columns)))[set-fixedSets]
}

// fixed returns a row's digest of a fixed field.
func (n *indexer) fixed(set int, row *Row) uint64 {
	switch set {
	case setNamespace:
		return n.digest(row.namespace)
	case setName:
		return n.digest(row.Name())
	case setUID:
		return n.digest(row.UID())
	case setTarget:
		if n.target != row.target {
			n.target, n.targetDigest = row.target, n.digest(row.target.String())
		}
		return n.targetDigest
	default:
		if n.kind != row.resource {
			n.kind, n.resourceDigest = row.resource, n.resource(row.resource.resourceKind())
		}
		return n.resourceDigest
	}
}

// attributes fills in the digests of a row's attributes, by column.
func (n *indexer) attributes(row *Row, digests []uint64) []uint64 {
	if len(digests) == 0 {
		return nil
	}
	for i := range digests {
		digests[i] = none
	}
	for name, value := range Members(row.Attributes()) {
		set, found := n.column(name)
		if !found {
			continue
		}
		if value = Unquote(value); value != "" {
			digests[set-fixedSets] = n.digest(value)
		}
	}
	return digests
}

// scan notes all rows in the sets of columns.
func (n *indexer) scan(sets []int) {
	n.finder.root.visit(func(i *item) bool {
		digests := n.attributes(i.Row, n.after)
		for _, set := range sets {
			n.add(set, digests[set-fixedSets], &i.Key)
		}
		return true
	})
}
