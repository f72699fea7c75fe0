package inventory

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Event is one change of a served object: of a row when Before or After has
// one, else of the inventory's head. Each event has a version of its own.
type Event struct {
	Version   uint64
	Inventory *Inventory
	// Before and After are the row's entries; zero when there was, or is, none.
	Before, After Entry
	// HeadBefore and HeadAfter are the heads, nil when there was, or is, none.
	HeadBefore, HeadAfter *Head
}

// commit is the place in history after the events of one Update. What comes
// after it is set once, before ready is closed, and never changes.
type commit struct {
	version uint64
	expired chan struct{} // closed when the commit is no longer kept
	ready   chan struct{} // closed when next is set

	next   *commit
	events []Event   // from here to next, by version
	time   time.Time // when next was made
}

func newCommit(version uint64) *commit {
	return &commit{version: version, ready: make(chan struct{}), expired: make(chan struct{})}
}

// history keeps the newest events, and states that somebody asked to keep.
type history struct {
	options Options

	mu      sync.Mutex  // guards what follows
	commits []*commit   // the oldest first; never empty
	events  int         // between the commits
	states  []heldState // the first held first
}

type heldState struct {
	state *State
	until time.Time
}

func newHistory(options Options, version uint64) *history {
	return &history{options: options, commits: []*commit{newCommit(version)}}
}

// append publishes the state that the events led to. Who sees the state finds
// its version here, and who sees the events finds a state that has them.
func (s *Store) append(events []Event, state *State, now time.Time) {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	s.state.Store(state)
	last := h.commits[len(h.commits)-1]
	last.next, last.events, last.time = newCommit(state.Version), events, now
	close(last.ready)
	h.commits = append(h.commits, last.next)
	h.events += len(events)
	h.trim(now)
}

// trim forgets events and states beyond the limits, but never the last commit's
// events: those who waited for them have not read them yet.
func (h *history) trim(now time.Time) {
	old := 0
	for old < len(h.commits)-2 && (h.events > h.options.HistoryEvents || now.Sub(h.commits[old].time) > h.options.HistoryAge) {
		h.events -= len(h.commits[old].events)
		close(h.commits[old].expired)
		h.commits[old] = nil
		old++
	}
	h.commits = h.commits[old:] // append makes room, without what was dropped
	h.trimStates(now)
}

func (h *history) trimStates(now time.Time) {
	old := 0
	for old < len(h.states) && (len(h.states)-old > h.options.HistoryStates || now.After(h.states[old].until)) {
		old++
	}
	h.states = slices.Delete(h.states, 0, old)
}

// Hold keeps a state, for as long as Options says, for At.
func (s *Store) Hold(state *State) {
	now := s.now()
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = slices.DeleteFunc(h.states, func(held heldState) bool { return held.state.Version == state.Version })
	h.states = append(h.states, heldState{state: state, until: now.Add(h.options.HistoryAge)})
	h.trimStates(now)
}

// Wait returns the newest state once it is not older than version, or the
// context's error. The version of another store, for which it would wait in
// vain, is ErrExpired.
func (s *Store) Wait(ctx context.Context, version uint64) (*State, error) {
	for {
		s.history.mu.Lock()
		last := s.history.commits[len(s.history.commits)-1]
		s.history.mu.Unlock()
		state := s.State()
		if err := s.check(version, state.Version); err == nil || err == ErrExpired {
			return state, err
		}
		select {
		case <-last.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Cursor follows a store from one version on. It is not safe for concurrent
// use. It keeps the events that it has not read in memory: drop it when Expired
// is closed.
type Cursor struct {
	commit *commit // the last that was consumed
	after  uint64
}

// Follow returns a cursor on the events after version, which must be one that
// this store has issued and still remembers; else the error is ErrExpired or
// ErrFuture.
func (s *Store) Follow(version uint64) (*Cursor, error) {
	if err := s.check(version, s.State().Version); err != nil {
		return nil, err
	}
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	commit := h.commitOf(version)
	if commit == nil {
		return nil, ErrExpired
	}
	return &Cursor{commit: commit, after: version}, nil
}

// Tail returns a cursor on the events after the newest version.
func (s *Store) Tail() *Cursor {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.commits[len(h.commits)-1]
	return &Cursor{commit: last, after: last.version}
}

// commitOf returns the last commit that is not newer than a version of this
// store, or nil if that is no longer kept. The caller has the lock.
func (h *history) commitOf(version uint64) *commit {
	i, exact := slices.BinarySearchFunc(h.commits, version, func(c *commit, v uint64) int {
		return cmp.Compare(c.version, v)
	})
	switch {
	case exact:
		return h.commits[i]
	case i == 0:
		return nil
	}
	return h.commits[i-1]
}

// Version is the one after which the cursor's next event comes.
func (c *Cursor) Version() uint64 { return c.after }

// Ready is closed when Next has events to return.
func (c *Cursor) Ready() <-chan struct{} { return c.commit.ready }

// Expired is closed when the follower has fallen too far behind and must start
// anew. Those who wait for the next event, however long, do not expire.
func (c *Cursor) Expired() <-chan struct{} { return c.commit.expired }

// Next returns the events of the next Update, less those that the cursor
// started after, and the version of the state that they led to. It waits until
// Ready is closed. The events are shared: they must not be changed.
func (c *Cursor) Next() (events []Event, version uint64) {
	<-c.commit.ready
	events = c.commit.events
	c.commit = c.commit.next
	for len(events) > 0 && events[0].Version <= c.after {
		events = events[1:]
	}
	c.after = c.commit.version
	return events, c.commit.version
}
