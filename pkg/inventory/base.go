package inventory

import (
	"iter"
	"slices"
)

// Held is a row as a destination says that it holds it.
type Held struct {
	Key    Key
	Hash   RowHash
	Origin Origin
}

// Origin is what is known of a row that is held though it is in no snapshot any
// more.
type Origin struct {
	Target      TargetRef
	Group, Kind string
}

// Origin returns the row's origin.
func (r *Row) Origin() Origin {
	return Origin{Target: *r.target, Group: r.resource.Group, Kind: r.resource.Kind}
}

// Update is what becomes of one row of a destination.
type Update struct {
	Key Key
	// Row is what is to be held; nil: nothing, the row is deleted.
	Row *Row
	// Held says that the destination holds a row of this key, which is of Origin.
	Held   bool
	Origin Origin
}

// Base is what a destination holds of one inventory: what a snapshot is compared
// with in order to export what has changed since. **A Base never changes.** One
// that was read back from the destination takes about 70 bytes a row, one that is
// a snapshot nothing.
type Base struct {
	root    *node
	origins []Origin // of the entries without a row, whose version n is for origins[n-1]
}

// NewBase returns what was read back from a destination, in any order. It sorts
// held in place. Of two of a key it takes any.
func NewBase(held []Held) *Base {
	slices.SortFunc(held, func(a, b Held) int { return a.Key.Compare(b.Key) })
	b := &Base{}
	index := map[Origin]uint64{}
	items := make([]item, 0, len(held))
	for _, h := range held {
		if len(items) > 0 && items[len(items)-1].Key == h.Key {
			continue
		}
		at, known := index[h.Origin]
		if !known {
			b.origins = append(b.origins, h.Origin)
			at = uint64(len(b.origins))
			index[h.Origin] = at
		}
		items = append(items, item{Entry{Key: h.Key, Version: at}, h.Hash})
	}
	b.root = build(items, 0)
	return b
}

// BaseOf returns what a destination holds that holds the snapshot.
func BaseOf(s *Snapshot) *Base { return &Base{root: s.root} }

// Len returns the number of rows.
func (b *Base) Len() int { return b.root.len() }

// Hash returns the content hash: that of a snapshot with the same rows.
func (b *Base) Hash() ContentHash {
	if b.root == nil {
		return emptyHash
	}
	return b.root.hash
}

// Diff yields what brings the destination to the snapshot, in the order of keys.
// Rows of the targets for which keep returns true stay as they are, on either
// side; nil keeps none. It costs O(changes log n).
func (b *Base) Diff(after *Snapshot, keep func(TargetRef) bool) iter.Seq[Update] {
	return func(yield func(Update) bool) {
		d := differ{yield: func(before, after Entry) bool {
			u, changes := b.update(before, after, keep)
			return !changes || yield(u)
		}}
		d.diff(b.root, after.root)
	}
}

// update returns what becomes of a row, and false if nothing does.
func (b *Base) update(before, after Entry, keep func(TargetRef) bool) (Update, bool) {
	u := Update{Key: after.Key, Row: after.Row, Held: before.Row != nil || before.Version > 0}
	if u.Held {
		u.Key, u.Origin = before.Key, b.origin(before)
	}
	if keep != nil && (u.Held && keep(u.Origin.Target) || u.Row != nil && keep(*u.Row.target)) {
		return Update{}, false
	}
	return u, true
}

func (b *Base) origin(e Entry) Origin {
	if e.Row != nil {
		return e.Row.Origin()
	}
	return b.origins[e.Version-1]
}

// After returns what the destination holds once it has what Diff yields.
func (b *Base) After(after *Snapshot, keep func(TargetRef) bool) *Base {
	if keep == nil {
		return BaseOf(after)
	}
	var edits []edit
	for u := range b.Diff(after, keep) {
		edits = append(edits, edit{Key: u.Key, Row: u.Row})
	}
	return &Base{root: b.root.apply(edits, 0), origins: b.origins}
}

// Without returns the base without the rows of the keys, which are in order.
func (b *Base) Without(keys []Key) *Base {
	edits := make([]edit, len(keys))
	for i, key := range keys {
		edits[i].Key = key
	}
	return &Base{root: b.root.apply(edits, 0), origins: b.origins}
}

// Unknown returns the base with the contents of its rows taken for unknown, so
// that every row that stays is yielded by Diff.
func (b *Base) Unknown() *Base {
	items := make([]item, 0, b.Len())
	b.root.visit(func(i *item) bool {
		items = append(items, item{Entry: i.Entry})
		return true
	})
	return &Base{root: build(items, 0), origins: b.origins}
}
