package inventory

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// newTestStore returns a store with an inventory of one target.
func newTestStore(options Options) (*Store, *clock) {
	c := &clock{now: testTime}
	options.Now = func() time.Time { return c.now }
	s := NewStore(options)
	s.Update(func(tx *Tx) {
		tx.SetInventory(Inventory{Ref: testRefs[0], Cluster: "prod", Targets: []TargetRef{*testTargets[0]}})
	})
	return s, c
}

// change makes two events, of a row and of the head.
func change(s *Store, variant int) *State {
	s.Update(func(tx *Tx) { tx.Put(testRow(testTargets[0], variant/3, variant%3), "") })
	return s.State()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// drain returns what there is to read.
func drain(c *Cursor) []Event {
	var events []Event
	for isClosed(c.Ready()) {
		next, _ := c.Next()
		events = append(events, next...)
	}
	return events
}

func sameEvent(a, b Event) bool { return a == b }

func TestFollowFromAnyVersion(t *testing.T) {
	m := run(t, randomProgram(rand.New(rand.NewPCG(3, 3)), 200))
	for i, e := range m.log {
		cursor, err := m.store.Follow(e.Version)
		if err != nil {
			t.Fatalf("follow from version %d: %v", e.Version, err)
		}
		if i%50 > 0 && i+50 < len(m.log) {
			continue // too long to read each to its end
		}
		if got := drain(cursor); !slices.EqualFunc(got, m.log[i+1:], sameEvent) {
			t.Fatalf("%d events after version %d, want %d, or other ones", len(got), e.Version, len(m.log)-i-1)
		}
	}
}

func TestHistoryIsTrimmedByEvents(t *testing.T) {
	s, _ := newTestStore(Options{HistoryEvents: 10})
	var versions []uint64
	for i := range 20 {
		versions = append(versions, change(s, i).Version)
		if s.history.events > 10 || len(s.history.commits) > 6 {
			t.Fatalf("%d events in %d commits are kept, want 10 at most", s.history.events, len(s.history.commits)-1)
		}
	}
	for i, version := range versions {
		_, err := s.Follow(version)
		if kept := i >= len(versions)-6; kept != (err == nil) || !kept && !errors.Is(err, ErrExpired) {
			t.Errorf("follow from the version of change %d: %v", i, err)
		}
	}
}

// A commit above the limit is kept until the next, for those who waited for it.
func TestHistoryKeepsTheLastCommit(t *testing.T) {
	s, c := newTestStore(Options{HistoryEvents: 3})
	waiting, err := s.Follow(s.State().Version)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(24 * time.Hour)
	s.Update(func(tx *Tx) {
		for i := range 100 {
			tx.Put(testRow(testTargets[0], i, 0), "")
		}
	})
	if isClosed(waiting.Expired()) {
		t.Error("who waited has expired with the first commit")
	}
	late := *waiting
	change(s, 1)
	if !isClosed(waiting.Expired()) || !isClosed(late.Expired()) {
		t.Error("who is a large commit behind has not expired")
	}
	if _, err := s.Follow(waiting.after); !errors.Is(err, ErrExpired) {
		t.Errorf("follow from there: %v", err)
	}
	if got := drain(&late); len(got) != 103 {
		t.Errorf("what was expired has %d events, want 103", len(got))
	}
}

func TestHistoryIsTrimmedByAge(t *testing.T) {
	s, c := newTestStore(Options{HistoryAge: time.Minute})
	first := s.State().Version
	waiting, err := s.Follow(first)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(time.Hour) // nothing happens
	second := change(s, 1).Version
	if isClosed(waiting.Expired()) {
		t.Error("who waited for an hour has expired with the first event")
	}
	c.advance(time.Minute)
	third := change(s, 2).Version
	if _, err := s.Follow(first); err != nil {
		t.Errorf("follow what is a minute old: %v", err)
	}
	c.advance(time.Second)
	change(s, 3)
	if _, err := s.Follow(first); !errors.Is(err, ErrExpired) || !isClosed(waiting.Expired()) {
		t.Errorf("follow what is older than a minute: %v", err)
	}
	for _, version := range []uint64{second, third} {
		if _, err := s.Follow(version); err != nil {
			t.Errorf("follow what is younger than a minute: %v", err)
		}
	}
}

func TestHeldStates(t *testing.T) {
	s, c := newTestStore(Options{HistoryStates: 3, HistoryAge: time.Minute, HistoryEvents: 1})
	var states []*State
	for i := range 6 {
		state := change(s, i)
		s.Hold(state)
		s.Hold(state)
		states = append(states, state)
	}
	for i := range 2 {
		change(s, 6+i) // so that none of the states is made of events
	}
	at := func(i int, want error) {
		t.Helper()
		state, err := s.At(states[i].Version)
		if !errors.Is(err, want) || err == nil && state != states[i] {
			t.Errorf("state %d: %p %v, want %p %v", i, state, err, states[i], want)
		}
	}
	for i := range states {
		want := ErrExpired
		if i >= 3 {
			want = nil
		}
		at(i, want)
	}
	c.advance(30 * time.Second)
	s.Hold(states[3])
	c.advance(31 * time.Second)
	at(3, nil)
	at(4, ErrExpired)
	at(5, ErrExpired)
	c.advance(time.Minute)
	at(3, ErrExpired)
	if n := len(s.history.states); n != 0 {
		t.Errorf("%d states are still held", n)
	}
}

// Who has read a state can follow it and read it again at once.
func TestStateCanBeFollowedAtOnce(t *testing.T) {
	s, _ := newTestStore(Options{})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !isClosed(stop); i++ {
			change(s, i)
		}
	}()
	for range 5_000 {
		state := s.State()
		cursor, err := s.Follow(state.Version)
		if err != nil {
			t.Errorf("follow from the state's version: %v", err)
			break
		}
		<-cursor.Ready()
		if _, version := cursor.Next(); s.State().Version < version {
			t.Errorf("events of version %d before their state", version)
			break
		}
	}
	close(stop)
	<-done
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestStore(Options{})
		version := s.State().Version
		if state, err := s.Wait(t.Context(), version); err != nil || state.Version != version {
			t.Errorf("wait for the present: %v", err)
		}
		var state *State
		done := make(chan struct{})
		go func() {
			defer close(done)
			state, _ = s.Wait(t.Context(), version+3)
		}()
		synctest.Wait()
		change(s, 1)
		synctest.Wait()
		if isClosed(done) && state.Version < version+3 {
			t.Errorf("came back with version %d, want %d at least", state.Version, version+3)
		}
		if last := change(s, 2); last.Version < version+3 {
			t.Fatal("four events are too few")
		}
		<-done
		if state == nil || state.Version < version+3 {
			t.Errorf("came back without the state")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := s.Wait(ctx, s.State().Version+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for what does not come: %v", err)
		}
	})
}

func TestTailFollowsTheNewest(t *testing.T) {
	s, _ := newTestStore(Options{HistoryEvents: 1})
	for i := range 5 {
		cursor := s.Tail()
		if cursor.Version() != s.State().Version || isClosed(cursor.Ready()) {
			t.Errorf("a cursor after %d, which is ready: %t; want one after %d", cursor.Version(), isClosed(cursor.Ready()), s.State().Version)
		}
		newest := change(s, i).Version
		if events := drain(cursor); len(events) != 2 || events[1].Version != newest || cursor.Version() != newest {
			t.Errorf("got %d events up to %d, want 2 up to %d", len(events), cursor.Version(), newest)
		}
	}
}
