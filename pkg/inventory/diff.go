package inventory

// differ compares two trees.
type differ struct {
	yield   func(before, after Entry) bool
	nodes   int // that were read
	entries int // that were read
}

// diff yields what differs in content from a to b, in the order of keys, until
// yield returns false. Equal branches are not entered.
func (d *differ) diff(a, b *node) bool {
	d.nodes++
	switch {
	case a == b || a != nil && b != nil && a.hash == b.hash:
		return true
	case a == nil || b == nil || a.branch == nil || b.branch == nil:
		return d.merge(a, b, d.yield)
	}
	for i := range fanout {
		if a.branch.hashes[i] != b.branch.hashes[i] && !d.diff(a.branch.child[i], b.branch.child[i]) {
			return false
		}
	}
	return true
}

// merge compares two ranges of which at least one is a leaf or empty, so that
// one has few entries, or all of the other differ.
func (d *differ) merge(a, b *node, yield func(before, after Entry) bool) bool {
	if a != nil && a.branch != nil {
		return d.merge(b, a, func(before, after Entry) bool { return yield(after, before) })
	}
	var olds []item
	if a != nil {
		olds = a.items
		d.entries += len(olds)
	}
	more := b.visit(func(e *item) bool {
		d.entries++
		for len(olds) > 0 && olds[0].Key.Compare(e.Key) < 0 {
			if !yield(olds[0].Entry, Entry{}) {
				return false
			}
			olds = olds[1:]
		}
		if len(olds) > 0 && olds[0].Key == e.Key {
			old := &olds[0]
			olds = olds[1:]
			return old.hash == e.hash || yield(old.Entry, e.Entry)
		}
		return yield(Entry{}, e.Entry)
	})
	for ; more && len(olds) > 0; olds = olds[1:] {
		more = yield(olds[0].Entry, Entry{})
	}
	return more
}
