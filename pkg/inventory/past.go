package inventory

import (
	"iter"
	"slices"
)

// At returns the state at a version that this store has issued and still
// remembers; else the error is ErrExpired or ErrFuture. The newest state and
// those that are held cost nothing. Another is made of the next later one by
// undoing what happened since, in O(events log n), and then held, so that it is
// read page by page. Its snapshots share their rows with the others.
//
// A version within an Update, whose events have versions of their own, is the
// state between two of its events.
func (s *Store) At(version uint64) (*State, error) {
	newest := s.State()
	if version == newest.Version {
		return newest, nil
	}
	if err := s.check(version, newest.Version); err != nil {
		return nil, err
	}
	if state, _, _ := s.history.at(version, newest, s); state != nil {
		return state, nil
	}
	s.past.Lock() // one at a time: each makes the next cheaper
	defer s.past.Unlock()
	state, later, events := s.history.at(version, newest, s)
	switch {
	case state != nil:
		return state, nil
	case events == nil:
		return nil, ErrExpired
	}
	state = later.undo(version, events)
	s.Hold(state)
	return state, nil
}

// at returns the state of a version if it is held. Else it returns the first
// later state, which is newest or held, and what happened between them, or
// nothing if that is no longer known.
func (h *history) at(version uint64, newest *State, s *Store) (state, later *State, events [][]Event) {
	now := s.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trimStates(now)
	later = newest
	for _, held := range h.states {
		switch {
		case held.state.Version == version:
			return held.state, nil, nil
		case held.state.Version > version && held.state.Version < later.Version:
			later = held.state
		}
	}
	for c := h.commitOf(version); c != nil && c.version < later.Version; c = c.next {
		events = append(events, c.events)
	}
	return nil, later, events
}

// undo returns the state at an earlier version. The events are all that happened
// between, and may have more before and after.
func (s *State) undo(version uint64, events [][]Event) *State {
	undone := map[string]*undoing{}
	for e := range between(version, s.Version, events) {
		at := e.Inventory.position()
		u := undone[at]
		if u == nil {
			u = &undoing{inventory: e.Inventory, rows: map[Key]Entry{}}
			undone[at] = u
		}
		u.add(e)
	}
	past := &State{Version: version, snapshots: s.snapshots.Copy(), partitions: s.partitions.copy()}
	var m moves
	if past.partitions.kept() {
		m = moves{}
	}
	for at, u := range undone {
		snapshot, _ := past.snapshots.Get(at)
		later := snapshot
		snapshot = u.apply(later)
		u.move(m, later, snapshot)
		if snapshot != nil {
			past.snapshots.Set(at, snapshot)
		} else {
			past.snapshots.Delete(at)
		}
	}
	past.partitions.apply(m)
	return past
}

// between yields the events after a version up to another.
func between(after, last uint64, events [][]Event) iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for _, some := range events {
			for i := range some {
				if e := &some[i]; e.Version > after && e.Version <= last && !yield(e) {
					return
				}
			}
		}
	}
}

// undoing is what is known of an inventory as it was: what it had before the
// first event of each object.
type undoing struct {
	inventory   *Inventory
	rows        map[Key]Entry
	head        *Head
	headChanged bool
}

func (u *undoing) add(e *Event) {
	switch {
	case e.HeadBefore != nil || e.HeadAfter != nil:
		if !u.headChanged {
			u.head, u.headChanged = e.HeadBefore, true
		}
	default:
		key := e.After.Key
		if e.Before.Row != nil {
			key = e.Before.Key
		}
		if _, known := u.rows[key]; !known {
			u.rows[key] = e.Before
		}
	}
}

// move notes how the inventory's rows went back.
func (u *undoing) move(m moves, later, past *Snapshot) {
	if past == nil {
		if later != nil {
			for e := range later.Entries() {
				m.move(u.inventory.Ref, e.Key, e.Row, Entry{})
			}
		}
		return
	}
	for key, before := range u.rows {
		var after Entry
		if later != nil {
			after, _ = later.Get(key)
		}
		m.move(u.inventory.Ref, key, after.Row, before)
	}
}

// apply returns the inventory's snapshot as it was, or nil.
func (u *undoing) apply(later *Snapshot) *Snapshot {
	past := &Snapshot{}
	if later != nil {
		*past = *later
	}
	if u.headChanged {
		past.head = u.head
	}
	edits := make([]edit, 0, len(u.rows))
	for key, before := range u.rows {
		edits = append(edits, edit{Key: key, Row: before.Row, Version: before.Version})
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.Key.Compare(b.Key) })
	later = &Snapshot{root: past.root, index: past.index}
	past.root = past.root.apply(edits, 0)
	past.index = later.undoIndex(past.root, edits)
	switch {
	case past.root == nil && (past.head == nil || past.head.Version == 0):
		return nil
	case past.head == nil: // its rows came first
		past.head = &Head{inventory: u.inventory}
	}
	past.inventory = past.head.inventory
	return past
}

// undoIndex returns the index of root, which is that of the snapshot with edits
// made, or nil.
func (s *Snapshot) undoIndex(root *node, edits []edit) *index {
	if s.index == nil || len(edits) == 0 {
		return s.index
	}
	resources := slices.Clone(s.index.resources)
	events := make([]Event, 0, len(edits))
	for _, e := range edits {
		var event Event
		event.Before, _ = s.root.get(e.Key)
		if e.Row != nil {
			event.After = e
			resources = append(resources, e.Row.resource.resourceKind())
		}
		if event.Before.Row != event.After.Row {
			events = append(events, event)
		}
	}
	slices.SortFunc(resources, resourceKind.compare)
	return new(indexer).update(s.index, root, s.index.columns, slices.Compact(resources), events)
}
