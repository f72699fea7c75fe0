package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Inventory describes an inventory: whose rows it selects and how it names
// them. **An Inventory never changes.**
type Inventory struct {
	Ref
	// UID and Created are those of the inventory's configuration.
	UID     string
	Created time.Time
	// SpecGeneration is the metadata.generation of the configuration.
	SpecGeneration int64
	// Cluster is the name of the cluster in rows.
	Cluster string
	Dedupe  Dedupe
	// Targets are the targets whose rows make up the inventory.
	Targets []TargetRef
	// Columns are the promoted attributes of the targets, ordered by name. It is
	// kept by the store.
	Columns []Column
}

// inventory is the writer's view of an inventory.
type inventory struct {
	def     *Inventory
	keyer   keyer
	root    *node
	head    *Head
	targets targetStates
	status  Status
	kinds   map[groupKind]int
	hidden  map[Key][]*Row // rows that dedupe hides behind another

	pending        map[Key]*Row // edits of this transaction; nil removes
	rowsChanged    bool
	headChanged    bool
	columnsChanged bool
	touched        bool
}

type groupKind struct{ group, kind string }

// SetInventory adds an inventory or replaces its description. Its rows are
// those of its targets; a target that is not known yet counts as not synced.
func (tx *Tx) SetInventory(def Inventory) {
	def.Targets = slices.Clone(def.Targets)
	slices.SortFunc(def.Targets, TargetRef.Compare)
	def.Targets = slices.Compact(def.Targets)
	old := tx.store.inventories[def.Ref]
	if old != nil && (old.def.Cluster != def.Cluster || old.def.Dedupe != def.Dedupe || old.def.UID != def.UID) {
		tx.RemoveInventory(def.Ref) // its rows change their keys
		old = nil
	}
	inv := old
	if inv == nil {
		inv = &inventory{
			def:   &Inventory{Ref: def.Ref},
			keyer: newKeyer(def.Cluster, def.Ref, def.Dedupe),
			kinds: map[groupKind]int{},
		}
		tx.store.inventories[def.Ref] = inv
	} else if def.SpecGeneration == old.def.SpecGeneration && slices.Equal(def.Targets, old.def.Targets) {
		return
	}
	before := inv.def.Targets
	def.Columns = inv.def.Columns
	inv.def = &def
	inv.selectTargets(tx, before)
	inv.headChanged, inv.columnsChanged = true, true
	tx.touchInventory(inv)
}

// selectTargets moves rows in and out as the selection changed from before.
func (inv *inventory) selectTargets(tx *Tx, before []TargetRef) {
	selected := make(map[TargetRef]bool, len(inv.def.Targets))
	states := make([]*TargetState, len(inv.def.Targets))
	for i, ref := range inv.def.Targets {
		selected[ref] = true
		t := tx.target(ref)
		if _, was := t.inventories[inv]; !was {
			for _, row := range t.rows {
				inv.replace(nil, row)
			}
		}
		t.inventories[inv] = i
		states[i] = t.state
	}
	for _, ref := range before {
		if t := tx.store.targets[ref]; t != nil && !selected[ref] {
			for _, row := range t.rows {
				inv.replace(row, nil)
			}
			delete(t.inventories, inv)
			tx.dropTarget(ref)
		}
	}
	inv.targets = newTargetStates(states)
}

// RemoveInventory removes an inventory and, with it, its rows.
func (tx *Tx) RemoveInventory(ref Ref) {
	inv := tx.store.inventories[ref]
	if inv == nil {
		return
	}
	inv.root.ascend(0, Key{}, func(e Entry) bool {
		tx.removed = append(tx.removed, Event{Version: tx.nextVersion(), Inventory: inv.def, Before: e})
		return true
	})
	if inv.head != nil {
		tx.removed = append(tx.removed, Event{Version: tx.nextVersion(), Inventory: inv.def, HeadBefore: inv.head})
	}
	for _, target := range inv.def.Targets {
		if t := tx.store.targets[target]; t != nil {
			delete(t.inventories, inv)
			tx.dropTarget(target)
		}
	}
	if inv.touched {
		tx.inventories = slices.DeleteFunc(tx.inventories, func(other *inventory) bool { return other == inv })
	}
	delete(tx.store.inventories, ref)
	tx.store.snapshots.Delete(ref.position())
}

// SetStatus sets what others know of the inventory. It does nothing if there is
// no such inventory.
func (tx *Tx) SetStatus(ref Ref, status Status) {
	inv := tx.store.inventories[ref]
	if inv == nil || inv.status.equal(status) {
		return
	}
	inv.status = status
	inv.headChanged = true
	tx.touchInventory(inv)
}

func (s Status) equal(other Status) bool {
	return s.Generation == other.Generation && slices.Equal(s.Sinks, other.Sinks) && slices.Equal(s.Conditions, other.Conditions)
}

// replace notes that a target's row changed from before to after; nil is none.
func (inv *inventory) replace(before, after *Row) {
	if inv.pending == nil {
		inv.pending = map[Key]*Row{}
	}
	switch {
	case inv.keyer.dedupe == ByResourceUID:
		inv.replaceDeduped(before, after)
	case after != nil:
		key := inv.keyer.key(after)
		if before != nil {
			if old := inv.keyer.key(before); old != key {
				inv.pending[old] = nil
			}
		}
		inv.pending[key] = after
	default:
		inv.pending[inv.keyer.key(before)] = nil
	}
}

// replaceDeduped keeps the last row in row order and hides the others.
func (inv *inventory) replaceDeduped(before, after *Row) {
	if before != nil {
		key := inv.keyer.key(before)
		sameTarget := func(r *Row) bool { return *r.target == *before.target }
		if current := inv.current(key); current != nil && sameTarget(current) {
			inv.pending[key] = nil
		} else {
			inv.hide(key, slices.DeleteFunc(slices.Clone(inv.hidden[key]), sameTarget))
		}
		inv.show(key)
	}
	if after != nil {
		key := inv.keyer.key(after)
		inv.hide(key, append(slices.Clone(inv.hidden[key]), after))
		inv.show(key)
	}
}

// show makes the last of the rows of key in row order the current one.
func (inv *inventory) show(key Key) {
	rows := inv.hidden[key]
	if current := inv.current(key); current != nil {
		rows = append(slices.Clone(rows), current)
	}
	if len(rows) == 0 {
		return
	}
	last := slices.MaxFunc(rows, func(a, b *Row) int { return a.Identity().Compare(b.Identity()) })
	inv.pending[key] = last
	inv.hide(key, slices.DeleteFunc(slices.Clone(rows), func(r *Row) bool { return r == last }))
}

func (inv *inventory) hide(key Key, rows []*Row) {
	if len(rows) == 0 {
		delete(inv.hidden, key)
		return
	}
	if inv.hidden == nil {
		inv.hidden = map[Key][]*Row{}
	}
	inv.hidden[key] = rows
}

// current returns the row of key as of the pending edits.
func (inv *inventory) current(key Key) *Row {
	if row, ok := inv.pending[key]; ok {
		return row
	}
	e, _ := inv.root.get(key)
	return e.Row
}

// commitRows makes the pending edits and appends their events.
func (inv *inventory) commitRows(tx *Tx, events []Event) []Event {
	keys := slices.SortedFunc(maps.Keys(inv.pending), Key.Compare)
	edits := make([]edit, 0, len(keys))
	for _, key := range keys {
		row := inv.pending[key]
		before, _ := inv.root.get(key)
		if before.Row == row || before.Row != nil && row != nil && before.Row.hash == row.hash {
			continue
		}
		after := Entry{Key: key, Row: row, Version: tx.nextVersion()}
		edits = append(edits, after)
		inv.countKind(before.Row, -1)
		inv.countKind(row, 1)
		event := Event{Version: after.Version, Inventory: inv.def, Before: before}
		if row != nil {
			event.After = after
		}
		events = append(events, event)
	}
	inv.pending = nil
	inv.rowsChanged = len(edits) > 0
	inv.root = inv.root.apply(edits, 0)
	return events
}

func (inv *inventory) countKind(row *Row, by int) {
	if row == nil {
		return
	}
	key := groupKind{row.resource.Group, row.resource.Kind}
	inv.kinds[key] += by
	if inv.kinds[key] == 0 {
		delete(inv.kinds, key)
	}
}

// commitHead publishes the inventory's new snapshot and appends its event.
func (inv *inventory) commitHead(tx *Tx, events []Event) []Event {
	if inv.columnsChanged {
		inv.updateColumns(tx)
	}
	if !inv.rowsChanged && !inv.headChanged {
		return events
	}
	head := &Head{Version: tx.nextVersion(), Rows: inv.root.len(), targets: inv.targets, Status: inv.status}
	if inv.head != nil {
		head.Observed, head.Kinds = inv.head.Observed, inv.head.Kinds
	}
	if inv.rowsChanged {
		head.Observed, head.Kinds = tx.now, inv.kindCounts()
	}
	snapshot := &Snapshot{inventory: inv.def, root: inv.root, head: head}
	head.Hash = snapshot.Hash()
	events = append(events, Event{Version: head.Version, Inventory: inv.def, HeadBefore: inv.head, HeadAfter: head})
	inv.head = head
	inv.rowsChanged, inv.headChanged = false, false
	tx.store.snapshots.Set(inv.def.position(), snapshot)
	return events
}

func (inv *inventory) kindCounts() []KindCount {
	counts := make([]KindCount, 0, len(inv.kinds))
	for k, n := range inv.kinds {
		counts = append(counts, KindCount{Group: k.group, Kind: k.kind, Rows: n})
	}
	slices.SortFunc(counts, func(a, b KindCount) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
	})
	return counts
}

// updateColumns takes the union of the targets' columns; where two disagree on
// a type the column is a string.
func (inv *inventory) updateColumns(tx *Tx) {
	inv.columnsChanged = false
	var columns []Column
	for _, ref := range inv.def.Targets {
		columns = append(columns, tx.store.targets[ref].columns...)
	}
	columns = mergeColumns(columns)
	if slices.Equal(columns, inv.def.Columns) {
		return
	}
	def := *inv.def
	def.Columns = columns
	inv.def = &def
	inv.headChanged = true
}

func mergeColumns(columns []Column) []Column {
	slices.SortStableFunc(columns, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	merged := columns[:0]
	for _, c := range columns {
		last := len(merged) - 1
		switch {
		case last < 0 || merged[last].Name != c.Name:
			merged = append(merged, c)
		case merged[last].Type != c.Type:
			merged[last].Type = ColumnString
		}
	}
	return merged
}
