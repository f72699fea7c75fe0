package inventory

import (
	"cmp"
	"slices"
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
	def      *Inventory
	position string // of def.Ref
	keyer    keyer
	root     *node
	head     *Head
	targets  targetStates
	status   Status
	kinds    map[resourceKind]int
	index    *index
	hidden   map[Key][]*Row // rows that dedupe hides behind another

	// What the transaction has changed.
	edits          []edit       // in order of arrival, which Version counts
	shown          map[Key]*Row // edits of dedupe instead; nil removes
	rowsChanged    bool
	kindsChanged   bool
	newResources   bool // or fewer
	headChanged    bool
	columnsChanged bool
	touched        bool
}

// SetInventory adds an inventory or replaces its description. Its rows are
// those of its targets; a target that is not known yet counts as not synced.
func (tx *Tx) SetInventory(def Inventory) {
	def.Targets = slices.Clone(def.Targets)
	slices.SortFunc(def.Targets, TargetRef.Compare)
	def.Targets = slices.Compact(def.Targets)
	old := tx.store.inventories[def.Ref]
	var status Status
	if old != nil && (old.def.Cluster != def.Cluster || old.def.Dedupe != def.Dedupe || old.def.UID != def.UID) {
		tx.RemoveInventory(def.Ref) // its rows change their keys
		if old.def.UID == def.UID {
			status = old.status
		}
		old = nil
	}
	inv := old
	if inv == nil {
		inv = &inventory{
			def:      &Inventory{Ref: def.Ref},
			position: def.Ref.position(),
			keyer:    newKeyer(def.Cluster, def.Ref, def.Dedupe),
			status:   status,
			kinds:    map[resourceKind]int{},
			index:    newIndex(tx.store.digester),
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
		tx.moves.move(ref, e.Key, e.Row, Entry{})
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
	tx.store.snapshots.Delete(inv.position)
}

// SetStatus sets what others know of the inventory. It does nothing if there is
// no such inventory.
func (tx *Tx) SetStatus(ref Ref, status Status) {
	inv := tx.store.inventories[ref]
	if inv == nil || inv.status.equal(status) {
		return
	}
	status.Sinks, status.Conditions = slices.Clone(status.Sinks), slices.Clone(status.Conditions)
	inv.status = status
	inv.headChanged = true
	tx.touchInventory(inv)
}

// replace notes that a target's row changed from before to after; nil is none.
func (inv *inventory) replace(before, after *Row) {
	if inv.keyer.dedupe == ByResourceUID {
		inv.replaceDeduped(before, after)
		return
	}
	if before != nil && (after == nil || before.namespace != after.namespace || before.Name() != after.Name()) {
		inv.edit(inv.keyer.key(before), nil)
	}
	if after != nil {
		inv.edit(inv.keyer.key(after), after)
	}
}

func (inv *inventory) edit(key Key, row *Row) {
	inv.edits = append(inv.edits, edit{Key: key, Row: row, Version: uint64(len(inv.edits))})
}

// takeEdits returns the transaction's edits ordered by key, the last of each.
func (inv *inventory) takeEdits() []edit {
	for key, row := range inv.shown {
		inv.edit(key, row)
	}
	edits := inv.edits
	slices.SortFunc(edits, func(a, b edit) int {
		return cmp.Or(a.Key.Compare(b.Key), cmp.Compare(a.Version, b.Version))
	})
	last := edits[:0]
	for i, e := range edits {
		if i+1 == len(edits) || edits[i+1].Key != e.Key {
			last = append(last, e)
		}
	}
	return last
}

// dropEdits makes room for the next transaction's edits.
func (inv *inventory) dropEdits() {
	const keep = 64
	if cap(inv.edits) > keep {
		inv.edits, inv.shown = nil, nil
	}
	clear(inv.shown)
	clear(inv.edits)
	inv.edits = inv.edits[:0]
}

// commitRows makes the pending edits and appends their events.
func (inv *inventory) commitRows(tx *Tx, events []Event) []Event {
	edits := inv.takeEdits()
	changed := edits[:0]
	events = slices.Grow(events, len(edits)+1)
	for _, e := range edits {
		before, _ := inv.root.get(e.Key)
		if before.Row == e.Row || before.Row != nil && e.Row != nil && before.Row.hash == e.Row.hash {
			continue
		}
		e.Version = tx.nextVersion()
		changed = append(changed, e)
		inv.countKinds(before.Row, e.Row)
		tx.moves.move(inv.def.Ref, e.Key, before.Row, e)
		event := Event{Version: e.Version, Inventory: inv.def, Before: before}
		if e.Row != nil {
			event.After = e
		}
		events = append(events, event)
	}
	inv.rowsChanged = len(changed) > 0
	inv.root = inv.root.apply(changed, 0)
	inv.updateIndex(tx, events[len(events)-len(changed):])
	inv.dropEdits()
	return events
}

// countKinds notes that a row changed from before to after; nil is none.
func (inv *inventory) countKinds(before, after *Row) {
	if before != nil && after != nil && before.resource == after.resource {
		return
	}
	inv.kindsChanged = true
	inv.countKind(before, -1)
	inv.countKind(after, 1)
}

func (inv *inventory) countKind(row *Row, by int) {
	if row == nil {
		return
	}
	key := row.resource.resourceKind()
	before := inv.kinds[key]
	if inv.kinds[key] = before + by; before+by == 0 {
		delete(inv.kinds, key)
	}
	inv.newResources = inv.newResources || before == 0 || before+by == 0
}

// commitHead publishes the inventory's new snapshot and appends its event.
func (inv *inventory) commitHead(tx *Tx, events []Event) []Event {
	if !inv.rowsChanged && !inv.headChanged {
		return events
	}
	head := &Head{Version: tx.nextVersion(), Rows: inv.root.len(), targets: inv.targets, inventory: inv.def, Status: inv.status}
	if inv.head != nil {
		head.Observed, head.Kinds = inv.head.Observed, inv.head.Kinds
	}
	if inv.rowsChanged {
		head.Observed = tx.now
	}
	if inv.kindsChanged {
		head.Kinds = inv.kindCounts()
	}
	snapshot := &Snapshot{inventory: inv.def, root: inv.root, index: inv.index, head: head}
	head.Hash = snapshot.Hash()
	events = append(events, Event{Version: head.Version, Inventory: inv.def, HeadBefore: inv.head, HeadAfter: head})
	inv.head = head
	inv.rowsChanged, inv.kindsChanged, inv.headChanged = false, false, false
	tx.store.snapshots.Set(inv.position, snapshot)
	return events
}

func (inv *inventory) kindCounts() []KindCount {
	counts := make([]KindCount, 0, len(inv.index.resources))
	for _, r := range inv.index.resources { // ordered by group and kind
		if last := len(counts) - 1; last >= 0 && counts[last].Group == r.group && counts[last].Kind == r.kind {
			counts[last].Rows += inv.kinds[r]
		} else {
			counts = append(counts, KindCount{Group: r.group, Kind: r.kind, Rows: inv.kinds[r]})
		}
	}
	return counts
}
