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
	// Epoch tells the versions of this store from those of all others that serve
	// the same API, be it another replica or the same one before a restart: each
	// must have an epoch of its own, and a later one a higher one. At most MaxEpoch.
	Epoch uint32
	// NewestEpoch returns the highest epoch that any store was given. It tells
	// versions of stores that began later from those that nobody has issued.
	// Default: Epoch, of a store that is alone.
	NewestEpoch func() uint32
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
	partitions  partitions
	digester    digester
	indexer     indexer

	past    sync.Mutex // held while a past state is made
	keeping sync.Mutex // held while partitions begin to be kept
}

// NewStore returns an empty store.
func NewStore(options Options) *Store {
	if options.Epoch > MaxEpoch {
		panic("inventory: the epoch is above MaxEpoch")
	}
	if options.NewestEpoch == nil {
		options.NewestEpoch = func() uint32 { return options.Epoch }
	}
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
		digester:    newDigester(),
		targets:     map[TargetRef]*target{},
		inventories: map[Ref]*inventory{},
		snapshots:   &btree.Map[string, *Snapshot]{},
		version:     firstVersion(options.Epoch),
	}
	state := s.newState()
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
	if s.partitions.kept() {
		tx.moves = moves{}
	}
	fn(tx)
	tx.commit()
}

// Tx makes changes that are published together. It is valid only inside the
// function that Update calls.
type Tx struct {
	store       *Store
	now         time.Time
	targets     []*target
	inventories []*inventory
	removed     []Event
	moves       moves // nil unless partitions are kept
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
	tx.store.partitions.apply(tx.moves)
	for _, inv := range tx.inventories {
		inv.touched = false
		events = inv.commitHead(tx, events)
	}
	if len(events) == 0 {
		return
	}
	tx.store.append(events, tx.store.newState(), tx.now)
}

// newState returns what the store holds now. The caller has the lock.
func (s *Store) newState() *State {
	return &State{Version: s.version, snapshots: s.snapshots.Copy(), partitions: s.partitions.copy()}
}

// Advance makes a version at which nothing changed and returns it: it is newer
// than all that were handed out.
func (s *Store) Advance() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.append(nil, s.newState(), s.now())
	return s.version
}

// nextVersion returns the version after the last that was issued.
func (tx *Tx) nextVersion() uint64 {
	tx.store.version++
	return tx.store.version
}

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
