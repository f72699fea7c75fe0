package inventory

import "slices"

// TargetState is what is known of a target's source.
//
// **A TargetState never changes.**
type TargetState struct {
	Target TargetRef
	// Rows that the target collects.
	Rows int
	// Synced says that the first list is complete: the rows are all rows.
	Synced bool
	// Stale says that the source can't be watched now. The rows are the last
	// that were seen.
	Stale bool
	// Message says why the target is stale or not synced, and what would mend
	// it.
	Message string
	// ResourceVersion is the newest version that a row was put at, in whatever
	// order they came, unless SetTargetState set another since. Removing a row
	// leaves it as it is.
	ResourceVersion string
}

// target is the writer's view of a target. It exists while it is collected or an
// inventory selects it.
type target struct {
	collected   bool // since SetTarget, SetTargetState or Put, until RemoveTarget
	columns     []Column
	state       *TargetState
	next        TargetState        // what state becomes at the commit
	rows        map[string]*Row    // by UID
	inventories map[*inventory]int // to the target's index in it
	touched     bool
}

func (tx *Tx) target(ref TargetRef) *target {
	t := tx.store.targets[ref]
	if t == nil {
		t = &target{
			state:       &TargetState{Target: ref},
			next:        TargetState{Target: ref},
			rows:        map[string]*Row{},
			inventories: map[*inventory]int{},
		}
		tx.store.targets[ref] = t
	}
	return t
}

// SetTarget says which promoted attributes the target's rows may have.
func (tx *Tx) SetTarget(ref TargetRef, columns []Column) {
	t := tx.target(ref)
	t.collected = true
	tx.setColumns(t, columns)
}

func (tx *Tx) setColumns(t *target, columns []Column) {
	if slices.Equal(t.columns, columns) {
		return
	}
	t.columns = slices.Clone(columns)
	for inv := range t.inventories {
		inv.columnsChanged = true
		tx.touchInventory(inv)
	}
}

// RemoveTarget removes the target's rows. An inventory that still selects it
// shows it as not synced.
func (tx *Tx) RemoveTarget(ref TargetRef) {
	t := tx.store.targets[ref]
	if t == nil {
		return
	}
	for _, row := range t.rows {
		tx.Remove(row)
	}
	tx.setColumns(t, nil)
	t.next = TargetState{Target: ref}
	tx.touchTarget(t)
	t.collected = false
	tx.dropTarget(ref)
}

// dropTarget forgets a target that is not collected and no inventory selects.
func (tx *Tx) dropTarget(ref TargetRef) {
	if t := tx.store.targets[ref]; t != nil && !t.collected && len(t.inventories) == 0 {
		delete(tx.store.targets, ref)
	}
}

// SetTargetState sets what is known of the target's source. Target and Rows are
// kept by the store; an empty ResourceVersion leaves the last one.
func (tx *Tx) SetTargetState(ref TargetRef, state TargetState) {
	t := tx.target(ref)
	if state.ResourceVersion == "" {
		state.ResourceVersion = t.next.ResourceVersion
	}
	state.Target, state.Rows = ref, len(t.rows)
	t.next, t.collected = state, true
	tx.touchTarget(t)
}

// TargetState returns what is known of a target, or nil, as of the changes
// made so far.
func (tx *Tx) TargetState(ref TargetRef) *TargetState {
	if t := tx.store.targets[ref]; t != nil {
		state := t.next
		state.Rows = len(t.rows)
		return &state
	}
	return nil
}

// Put adds the row to its target, or replaces the target's row of that UID.
// resourceVersion is the source's version of it. It reports whether the content
// changed.
func (tx *Tx) Put(row *Row, resourceVersion string) bool {
	t := tx.target(*row.target)
	before := t.rows[row.UID()]
	if before != nil && before.hash == row.hash {
		return false
	}
	t.rows[row.UID()], t.collected = row, true
	t.next.ResourceVersion = newerVersion(t.next.ResourceVersion, resourceVersion)
	tx.touchTarget(t)
	for inv := range t.inventories {
		inv.replace(before, row)
		tx.touchInventory(inv)
	}
	return true
}

// newerVersion returns the larger of two resource versions, which are decimal
// numbers without leading zeros, or empty.
func newerVersion(a, b string) string {
	if len(a) > len(b) || len(a) == len(b) && a > b {
		return a
	}
	return b
}

// Remove removes the target's row of that identity. It reports whether there
// was one.
func (tx *Tx) Remove(row *Row) bool {
	t := tx.store.targets[*row.target]
	if t == nil || t.rows[row.UID()] == nil {
		return false
	}
	before := t.rows[row.UID()]
	delete(t.rows, row.UID())
	tx.touchTarget(t)
	for inv := range t.inventories {
		inv.replace(before, nil)
		tx.touchInventory(inv)
	}
	return true
}

// settle publishes the target's next state to the inventories that select it.
func (t *target) settle(tx *Tx) {
	t.next.Rows = len(t.rows)
	if t.next == *t.state {
		return
	}
	state := t.next
	t.state = &state
	for inv, i := range t.inventories {
		inv.targets = inv.targets.with(i, t.state)
		inv.headChanged = true
		tx.touchInventory(inv)
	}
}

// targetStates is a persistent vector of target states, in chunks, so that a
// change of one costs little even among thousands. It never changes.
type targetStates struct {
	chunks          [][]*TargetState
	unsynced, stale int
}

const targetChunk = 64

func newTargetStates(states []*TargetState) targetStates {
	var t targetStates
	for _, s := range states {
		t.count(s, 1)
	}
	for chunk := range slices.Chunk(states, targetChunk) {
		t.chunks = append(t.chunks, slices.Clone(chunk))
	}
	return t
}

func (t *targetStates) count(s *TargetState, by int) {
	if !s.Synced {
		t.unsynced += by
	}
	if s.Stale {
		t.stale += by
	}
}

// with returns the vector with the i-th state replaced.
func (t targetStates) with(i int, s *TargetState) targetStates {
	t.chunks = slices.Clone(t.chunks)
	chunk := slices.Clone(t.chunks[i/targetChunk])
	t.count(chunk[i%targetChunk], -1)
	t.count(s, 1)
	chunk[i%targetChunk] = s
	t.chunks[i/targetChunk] = chunk
	return t
}

func (t targetStates) all(yield func(*TargetState) bool) {
	for _, chunk := range t.chunks {
		for _, s := range chunk {
			if !yield(s) {
				return
			}
		}
	}
}
