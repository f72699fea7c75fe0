package inventory

import (
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
)

// The state at a version is what those who followed the store up to there know,
// whichever states are asked for before.
func TestAtAnyVersion(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	for range 20 {
		m := run(t, randomProgram(random, 150))
		order := random.Perm(len(m.log))
		for _, i := range order[:min(len(order), 40)] {
			version := m.log[i].Version
			state, err := m.store.At(version)
			if err != nil {
				t.Fatalf("state at version %d: %v", version, err)
			}
			if state.Version != version {
				t.Fatalf("state at version %d is of version %d", version, state.Version)
			}
			checkPast(t, state, m.log[:i+1])
			if again, err := m.store.At(version); err != nil || again != state {
				t.Fatalf("state at version %d is not kept: %v", version, err)
			}
		}
		for _, s := range m.saved {
			if state, err := m.store.At(s.state.Version); err != nil || fingerprint(state) != s.fingerprint {
				t.Fatalf("state at version %d is not what it was: %v", s.state.Version, err)
			}
		}
	}
}

// checkPast compares a state with what the events lead to.
func checkPast(t *testing.T, state *State, log []Event) {
	t.Helper()
	checkPartitions(t, state, false)
	checkWhere(t, state, state.Version)
	past := machine{t: t, replayed: map[Ref]*replayedInventory{}}
	for _, e := range log {
		past.replay(e)
	}
	for _, ref := range testRefs {
		snapshot, want := state.Snapshot(ref), past.replayed[ref]
		if snapshot == nil {
			if want != nil && (want.head != nil || len(want.entries) > 0) {
				t.Fatalf("version %d lacks inventory %v", state.Version, ref)
			}
			continue
		}
		if want == nil || want.head != snapshot.Head() && (want.head != nil || snapshot.Head().Version != 0) {
			t.Fatalf("version %d has another head of inventory %v", state.Version, ref)
		}
		got := map[Key]Entry{}
		for e := range snapshot.All() {
			got[e.Key] = e
		}
		if !maps.Equal(got, want.entries) {
			t.Fatalf("version %d has other rows of inventory %v: %d, want %d", state.Version, ref, len(got), len(want.entries))
		}
		if snapshot.Inventory().Ref != ref {
			t.Fatalf("version %d calls inventory %v %v", state.Version, ref, snapshot.Inventory().Ref)
		}
	}
}

func TestPastIsForgotten(t *testing.T) {
	s, _ := newTestStore(Options{HistoryEvents: 10})
	first := s.State().Version
	for i := range 20 {
		change(s, i)
	}
	if _, err := s.At(first); !errors.Is(err, ErrExpired) {
		t.Errorf("state before the history: %v", err)
	}
	if _, err := s.At(s.State().Version - 5); err != nil {
		t.Errorf("state within the history: %v", err)
	}
}

// Past states are made while the store changes and others read them.
func TestAtConcurrently(t *testing.T) {
	s, _ := newTestStore(Options{})
	first := s.State().Version
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			for n := range 200 {
				version := min(s.State().Version, first+uint64(n+i))
				state, err := s.At(version)
				if err != nil {
					t.Errorf("state at version %d: %v", version, err)
					return
				}
				for range state.Snapshot(testRefs[0]).All() {
				}
			}
		})
	}
	for i := range 300 {
		change(s, i)
	}
	readers.Wait()
}
