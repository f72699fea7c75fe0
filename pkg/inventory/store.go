package inventory

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/btree"
)

// Options bounds what a store remembers. The zero value means the defaults.
type Options struct {
	// HistoryEvents is how many events are kept for those who follow the store;
	// who falls further behind starts anew. Default: 100,000.
	HistoryEvents int
	// HistoryStates is how many states are kept that somebody read page by
	// page. Default: 1,000.
	HistoryStates int
	// HistoryAge is how long events and states are kept. Default: 5 minutes.
	HistoryAge time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Store holds rows by target and keeps a snapshot for each inventory.
//
// There is one writer at a time, in Update; readers of states never lock and
// never wait for it. A change of a row costs O(log n) for each inventory that
// it touches, however many rows, targets and inventories there are.
type Store struct {
	now     func() time.Time
	state   atomic.Pointer[State]
	history *history

	mu          sync.Mutex // guards what follows
	version     uint64
	targets     map[TargetRef]*target
	inventories map[Ref]*inventory
	snapshots   *btree.Map[string, *Snapshot]
}

// NewStore returns an empty store.
func NewStore(options Options) *Store {
	if options.HistoryEvents == 0 {
		options.HistoryEvents = 100_000
	}
	if options.HistoryStates == 0 {
		options.HistoryStates = 1_000
	}
	if options.HistoryAge == 0 {
		options.HistoryAge = 5 * time.Minute
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Store{
		now:         options.Now,
		targets:     map[TargetRef]*target{},
		inventories: map[Ref]*inventory{},
		snapshots:   &btree.Map[string, *Snapshot]{},
	}
	now := s.now()
	state := &State{Version: s.nextVersion(now), snapshots: s.snapshots.Copy()}
	s.state.Store(state)
	s.history = newHistory(options, state.Version)
	return s
}

// State returns the newest state. It never waits.
func (s *Store) State() *State { return s.state.Load() }

// Update calls fn, which makes changes, and then publishes all of them at once
// as one new state. Calls are serialised; fn must not call Update.
func (s *Store) Update(fn func(*Tx)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &Tx{store: s, now: s.now()}
	fn(tx)
	tx.commit()
}

// nextVersion returns a version above all that were handed out. Versions follow
// the wall clock in microseconds, so that they rise over restarts. They fit a positive int64.
func (s *Store) nextVersion(now time.Time) uint64 {
	s.version = max(s.version+1, uint64(max(now.UnixMicro(), 0)))
	return s.version
}

// Tx makes changes that are published together. It is valid only inside the
// function that Update calls.
type Tx struct {
	store       *Store
	now         time.Time
	targets     []*target
	inventories []*inventory
	removed     []Event
}

// commit turns what was touched into events, new snapshots and a new state.
func (tx *Tx) commit() {
	for _, t := range tx.targets {
		t.touched = false
		t.settle(tx)
	}
	slices.SortFunc(tx.inventories, func(a, b *inventory) int {
		return strings.Compare(a.position, b.position)
	})
	events := tx.removed
	for _, inv := range tx.inventories {
		inv.updateColumns(tx)
		events = inv.commitRows(tx, events)
	}
	for _, inv := range tx.inventories {
		inv.touched = false
		events = inv.commitHead(tx, events)
	}
	if len(events) == 0 {
		return
	}
	s := tx.store
	s.append(events, &State{Version: s.version, snapshots: s.snapshots.Copy()}, tx.now)
}

func (tx *Tx) nextVersion() uint64 { return tx.store.nextVersion(tx.now) }

func (tx *Tx) touchTarget(t *target) {
	if !t.touched {
		t.touched = true
		tx.targets = append(tx.targets, t)
	}
}

func (tx *Tx) touchInventory(inv *inventory) {
	if !inv.touched {
		inv.touched = true
		tx.inventories = append(tx.inventories, inv)
	}
}
