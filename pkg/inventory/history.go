package inventory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrExpired says that a version is not, or no longer, known to this store. It
// was issued by another replica, or is older than the history that is kept.
var ErrExpired = errors.New("version is not known to this replica or too old")

// ErrFuture says that a version is above all that this store has issued.
var ErrFuture = errors.New("version is newer than any of this replica")

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

// Commit is a set of events that were published together, in the order of their
// versions. **Its events never change.**
type Commit struct {
	// Version is that of the last event.
	Version uint64
	Events  []Event

	time    time.Time
	next    *Commit
	ready   chan struct{} // closed when next is set
	expired chan struct{} // closed when the commit is no longer kept
}

func newCommit(version uint64, events []Event, now time.Time) *Commit {
	return &Commit{
		Version: version, Events: events, time: now,
		ready: make(chan struct{}), expired: make(chan struct{}),
	}
}

// history keeps the newest commits, and states that somebody asked to keep.
type history struct {
	options Options

	mu      sync.Mutex // guards what follows
	commits []*Commit  // the oldest first; never empty
	events  int
	states  []heldState // the oldest first
}

type heldState struct {
	state *State
	until time.Time
}

func newHistory(options Options, state *State, now time.Time) *history {
	return &history{options: options, commits: []*Commit{newCommit(state.Version, nil, now)}}
}

func (h *history) append(events []Event, state *State, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.commits[len(h.commits)-1]
	last.next = newCommit(state.Version, events, now)
	close(last.ready)
	h.commits = append(h.commits, last.next)
	h.events += len(events)
	h.trim(now)
}

// trim forgets commits and states beyond the limits, but never the last commit:
// followers wait there.
func (h *history) trim(now time.Time) {
	old := 0
	for old < len(h.commits)-1 && (h.events > h.options.HistoryEvents || now.Sub(h.commits[old].time) > h.options.HistoryAge) {
		h.events -= len(h.commits[old].Events)
		close(h.commits[old].expired)
		old++
	}
	h.commits = slices.Delete(h.commits, 0, old)
	h.trimStates(now)
}

func (h *history) trimStates(now time.Time) {
	old := max(0, len(h.states)-h.options.HistoryStates)
	for old < len(h.states) && now.After(h.states[old].until) {
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

// At returns the state at exactly the given version: the newest one or one that
// is held. Else the error is ErrExpired or ErrFuture.
func (s *Store) At(version uint64) (*State, error) {
	state := s.State()
	switch {
	case version == state.Version:
		return state, nil
	case version > state.Version:
		return nil, ErrFuture
	}
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.states {
		if held.state.Version == version {
			return held.state, nil
		}
	}
	return nil, ErrExpired
}

// Wait returns the newest state once it is not older than version, or the
// context's error.
func (s *Store) Wait(ctx context.Context, version uint64) (*State, error) {
	for {
		s.history.mu.Lock()
		last := s.history.commits[len(s.history.commits)-1]
		s.history.mu.Unlock()
		if state := s.State(); state.Version >= version {
			return state, nil
		}
		select {
		case <-last.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Cursor follows a store from one version on. It is not safe for concurrent
// use.
type Cursor struct {
	commit *Commit // the last that was consumed
	after  uint64
}

// Follow returns a cursor on the events after version, which must be one that
// this store has issued and still remembers; else the error is ErrExpired or
// ErrFuture.
func (s *Store) Follow(version uint64) (*Cursor, error) {
	h := s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if version > h.commits[len(h.commits)-1].Version {
		return nil, ErrFuture
	}
	i, exact := slices.BinarySearchFunc(h.commits, version, func(c *Commit, v uint64) int {
		return compareVersions(c.Version, v)
	})
	if exact {
		return &Cursor{commit: h.commits[i], after: version}, nil
	}
	if i == 0 {
		return nil, ErrExpired
	}
	_, issued := slices.BinarySearchFunc(h.commits[i].Events, version, func(e Event, v uint64) int {
		return compareVersions(e.Version, v)
	})
	if !issued {
		return nil, ErrExpired
	}
	return &Cursor{commit: h.commits[i-1], after: version}, nil
}

func compareVersions(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Ready is closed when Next has a commit to return.
func (c *Cursor) Ready() <-chan struct{} { return c.commit.ready }

// Expired is closed when the follower has fallen too far behind and must start
// anew. Those who wait at the end do not expire.
func (c *Cursor) Expired() <-chan struct{} { return c.commit.expired }

// Next returns the next commit's events, less those that the cursor started
// after, and the commit's version. Call it once Ready is closed.
func (c *Cursor) Next() (events []Event, version uint64) {
	<-c.commit.ready
	c.commit = c.commit.next
	events = c.commit.Events
	for len(events) > 0 && events[0].Version <= c.after {
		events = events[1:]
	}
	c.after = c.commit.Version
	return events, c.commit.Version
}
