package inventory

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

// machine runs a program, which is any string of bytes, on a store and on its
// model, and checks after each update all that a store promises.
type machine struct {
	t       testing.TB
	program []byte
	now     time.Time
	store   *Store
	model   *model

	cursor   *Cursor
	log      []Event // since the first state
	replayed map[Ref]*replayedInventory
	saved    []savedState
}

type replayedInventory struct {
	head    *Head
	entries map[Key]Entry
}

type savedState struct {
	state       *State
	fingerprint [sha256.Size]byte
}

// run executes the program to its end.
func run(t testing.TB, program []byte) *machine {
	m := &machine{t: t, program: program, now: testTime, model: newModel(), replayed: map[Ref]*replayedInventory{}}
	m.store = NewStore(Options{Now: func() time.Time { return m.now }})
	if len(program) > 0 { // of few bits, so that there are collisions
		m.store.digester.digestMask, m.store.digester.prefixBits = []uint64{0, 3, 1<<32 - 1}[program[0]%3], []int{0, 5, 8, 32}[program[0]/3%4]
	}
	m.cursor, _ = m.store.Follow(m.store.State().Version)
	keep := len(program) / 2 // what is left when partitions begin to be kept
	if len(program)%3 == 0 {
		keep = len(program)
	}
	for len(m.program) > 0 {
		if len(m.program) <= keep {
			m.store.KeepPartitions()
		}
		m.now = m.now.Add(time.Duration(int(m.next())-64) * time.Millisecond) // it may go backwards
		before := m.store.State()
		m.store.Update(func(tx *Tx) {
			for range m.next()%8 + 1 {
				m.step(tx)
			}
		})
		m.check(before)
	}
	for _, s := range m.saved {
		m.checkSaved(s)
	}
	return m
}

func (m *machine) checkSaved(s savedState) {
	m.t.Helper()
	if fingerprint(s.state) != s.fingerprint {
		m.t.Fatalf("the state at version %d has changed", s.state.Version)
	}
}

func (m *machine) next() int {
	if len(m.program) == 0 {
		return 0
	}
	b := m.program[0]
	m.program = m.program[1:]
	return int(b)
}

func (m *machine) nextTarget() *TargetRef { return testTargets[m.next()%len(testTargets)] }
func (m *machine) nextRef() Ref           { return testRefs[m.next()%len(testRefs)] }

// step makes one change of the store and of the model.
func (m *machine) step(tx *Tx) {
	switch m.next() % 12 {
	case 0, 1:
		m.put(tx, testRow(m.nextTarget(), m.next()%testUIDs, m.next()))
	case 2, 3:
		target, first, count, variant := m.nextTarget(), m.next(), m.next(), m.next()
		for i := range count {
			m.put(tx, testRow(target, (first+i)%testUIDs, variant))
		}
	case 4:
		m.remove(tx, testRow(m.nextTarget(), m.next()%testUIDs, 0))
	case 5:
		target, first, count := m.nextTarget(), m.next(), m.next()
		for i := range count {
			m.remove(tx, testRow(target, (first+i)%testUIDs, 0))
		}
	case 6:
		ref, columns := *m.nextTarget(), m.nextColumns()
		tx.SetTarget(ref, columns)
		m.model.target(ref).columns = slices.Clone(columns)
		clear(columns) // the store must have its own
	case 7:
		ref, flags := *m.nextTarget(), m.next()
		state := TargetState{Synced: flags&1 > 0, Stale: flags&2 > 0, Message: []string{"", "gone"}[flags>>2&1]}
		if flags&8 > 0 {
			state.ResourceVersion = strconv.Itoa(flags)
		}
		tx.SetTargetState(ref, state)
		m.model.setTargetState(ref, state)
	case 8:
		ref := *m.nextTarget()
		tx.RemoveTarget(ref)
		delete(m.model.targets, ref)
	case 9, 10:
		def := m.nextInventory()
		tx.SetInventory(def)
		def.Targets = slices.Clone(def.Targets)
		m.model.setInventory(def)
	case 11:
		m.stepInventory(tx)
	}
}

func (m *machine) put(tx *Tx, row *Row) {
	version := strconv.Itoa(len(m.program))
	if got, want := tx.Put(row, version), m.model.put(row, version); got != want {
		m.t.Fatalf("Put reports %v, want %v", got, want)
	}
}

func (m *machine) remove(tx *Tx, row *Row) {
	if got, want := tx.Remove(row), m.model.remove(row); got != want {
		m.t.Fatalf("Remove reports %v, want %v", got, want)
	}
}

func (m *machine) nextColumns() []Column {
	bits := m.next()
	var columns []Column
	for i, name := range []string{"image", "ready", "replicas"} {
		if bits>>i&1 > 0 {
			columns = append(columns, Column{Name: name, Type: []ColumnType{ColumnInteger, ColumnBoolean}[bits>>(i+3)&1]})
		}
	}
	return columns
}

func (m *machine) nextInventory() Inventory {
	ref, bits, targets := m.nextRef(), m.next(), m.next()
	def := Inventory{
		Ref: ref, UID: "uid-" + strconv.Itoa(bits&1), SpecGeneration: int64(bits >> 1 & 3),
		Cluster: []string{"prod", "test"}[bits>>3&1], Dedupe: Dedupe(bits>>4&1 > 0),
	}
	for i, target := range testTargets {
		if targets>>i&1 > 0 {
			def.Targets = append(def.Targets, *target, *target)
		}
	}
	if targets>>7 > 0 {
		slices.Reverse(def.Targets)
	}
	return def
}

func (m *machine) stepInventory(tx *Tx) {
	ref, choice := m.nextRef(), m.next()
	if choice%4 == 0 {
		tx.RemoveInventory(ref)
		delete(m.model.inventories, ref)
		return
	}
	status := Status{
		Generation: int64(choice),
		Sinks:      []SinkState{{Name: "lake", Generation: int64(choice), LastSuccess: testTime}},
		Conditions: []Condition{{Type: "Ready", Status: "True", LastTransition: testTime}},
	}
	tx.SetStatus(ref, status)
	if inv := m.model.inventories[ref]; inv != nil {
		inv.status = status
		inv.status.Sinks = slices.Clone(status.Sinks)
	}
	clear(status.Sinks) // the store must have its own
}

// check checks the state after an update.
func (m *machine) check(before *State) {
	m.t.Helper()
	state := m.store.State()
	m.model.check(m.t, state)
	checkPartitions(m.t, state, true)
	checkWhere(m.t, state, uint64(len(m.program)))
	m.follow(before, state)
	m.checkReplay(state)
	for _, s := range m.saved {
		for ref := range m.model.inventories {
			checkDiff(m.t, s.state.Snapshot(ref), state.Snapshot(ref))
			checkDiff(m.t, state.Snapshot(ref), s.state.Snapshot(ref))
		}
	}
	if len(m.saved) < 2 || len(m.program)%8 == 0 {
		m.saved = append(m.saved, savedState{state, fingerprint(state)})
	}
	if len(m.saved) > 4 {
		m.checkSaved(m.saved[0])
		m.saved = m.saved[1:]
	}
}

// follow replays the newest events and checks each against what it replaces.
func (m *machine) follow(before, state *State) {
	last := before.Version
	for {
		select {
		case <-m.cursor.Ready():
		default:
			if last != state.Version {
				m.t.Fatalf("followed to version %d, the state is at %d", last, state.Version)
			}
			return
		}
		events, version := m.cursor.Next()
		for _, e := range events {
			if e.Version <= last {
				m.t.Fatalf("version %d after %d", e.Version, last)
			}
			last = e.Version
			m.replay(e)
		}
		m.log = append(m.log, events...)
		if last != version {
			m.t.Fatalf("the last event's version is %d, want %d", last, version)
		}
	}
}

func (m *machine) replay(e Event) {
	inv := m.replayed[e.Inventory.Ref]
	if inv == nil {
		inv = &replayedInventory{entries: map[Key]Entry{}}
		m.replayed[e.Inventory.Ref] = inv
	}
	switch key := e.After.Key; {
	case e.HeadBefore != nil || e.HeadAfter != nil:
		if e.HeadBefore != inv.head || e.Before != (Entry{}) || e.After != (Entry{}) {
			m.t.Fatalf("version %d is not a change of the head before it", e.Version)
		}
		if e.HeadAfter != nil && e.HeadAfter.Version != e.Version {
			m.t.Fatalf("version %d has the head of version %d", e.Version, e.HeadAfter.Version)
		}
		inv.head = e.HeadAfter
	case e.After.Row == nil:
		key = e.Before.Key
		if e.After != (Entry{}) || e.Before.Row == nil || inv.entries[key] != e.Before {
			m.t.Fatalf("version %d does not remove the row before it", e.Version)
		}
		delete(inv.entries, key)
	default:
		if e.After.Version != e.Version || inv.entries[key] != e.Before || e.Before.Row == e.After.Row {
			m.t.Fatalf("version %d is not a change of the row before it", e.Version)
		}
		inv.entries[key] = e.After
	}
	if inv.head == nil && len(inv.entries) == 0 {
		delete(m.replayed, e.Inventory.Ref)
	}
}

// checkReplay checks that the events led to the state.
func (m *machine) checkReplay(state *State) {
	if len(m.replayed) != len(m.model.inventories) {
		m.t.Fatalf("events lead to %d inventories, want %d", len(m.replayed), len(m.model.inventories))
	}
	for ref, inv := range m.replayed {
		snapshot := state.Snapshot(ref)
		if snapshot.Head() != inv.head || snapshot.Len() != len(inv.entries) {
			m.t.Fatalf("%v: events lead to another head, or %d rows, want %d", ref, len(inv.entries), snapshot.Len())
		}
		for e := range snapshot.All() {
			if inv.entries[e.Key] != e {
				m.t.Fatalf("%v: events lead to %v, want %v", ref, inv.entries[e.Key], e)
			}
		}
	}
}

// fingerprint covers all that can be read of a state.
func fingerprint(state *State) [sha256.Size]byte {
	w := sha256.New()
	fmt.Fprintln(w, state.Version)
	for _, scope := range []Scope{Cluster, Namespaced} {
		for snapshot := range state.Snapshots(scope, "") {
			fmt.Fprintf(w, "%+v %x %+v\n", *snapshot.Inventory(), snapshot.Hash(), *snapshot.Head())
			for target := range snapshot.Head().Targets() {
				fmt.Fprintf(w, "%+v\n", *target)
			}
			for e := range snapshot.All() {
				fmt.Fprintln(w, e.Key, e.Row.Target(), e.Row.Namespace(), e.Row.data, e.Version)
			}
		}
	}
	return [sha256.Size]byte(w.Sum(nil))
}
