package crash

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// wantSame fails unless all destinations have what they had, whenever it was
// confirmed.
func (s *scene) wantSame(before map[string]content) {
	s.Helper()
	if diff := cmp.Diff(before, s.contents(), cmpopts.IgnoreFields(content{}, "Confirmed")); diff != "" {
		s.Errorf("the destinations have changed (-before +after):\n%s", diff)
	}
}

// awaitConfirmation waits until the leader has looked at all destinations.
func (s *scene) awaitConfirmation() {
	s.Helper()
	since := time.Now()
	s.until(func() error {
		for name, c := range s.contents() {
			if strings.HasPrefix(name, "branch of ") {
				continue // that what it holds is current is no commit
			}
			if !c.Confirmed.After(since) {
				return fmt.Errorf("%s was confirmed at %s, not since %s", name, c.Confirmed, since)
			}
		}
		return nil
	})
}

// A leader that hangs, and goes on when another leads, changes nothing.
func TestAPausedLeaderChangesNothing(t *testing.T) {
	s := begin(t, "paused")
	for i := range 10 {
		s.must(s.put(t.Context(), many, fmt.Sprint("many-", i)))
	}
	s.settle()
	leader, other := s.leader()
	before := s.contents()

	s.pauseUntil(leader, other)
	s.awaitConfirmation() // by who leads now
	s.wantSame(before)

	s.must(s.put(t.Context(), many, "many-0"))
	s.must(s.remove(t.Context(), "many-1"))
	s.settle()
	changed := s.contents()
	for name, was := range before {
		want := 0
		if name == "stream of many" || name == "topic of many" {
			want = 2
		}
		if got := changed[name].Events - was.Events; got != want {
			t.Errorf("%s: %d events of what changed, want %d", name, got, want)
		}
	}

	s.resume(leader)
	s.settle()
	s.awaitConfirmation()
	s.wantSame(changed)
}
