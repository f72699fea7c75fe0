package kubernetes

import (
	"testing"
)

// The names of the specs are those of test/e2e/apimachinery/watch.go. That an
// event does not come is seen by what comes next, not by waiting.

func TestWatchersObserveAddUpdateAndDeleteNotifications(t *testing.T) {
	t.Parallel()
	s := begin(t, "watch-labels")
	a, b, ab := s.watch(nil, "a"), s.watch(nil, "b"), s.watch(nil, "a", "b")
	want := func(event, label string, watches ...watchers) {
		t.Helper()
		for _, w := range watches {
			w.want(t, event, label)
		}
	}

	s.putLabel("one", "a", "0")
	want("ADDED one=0", "a", a, ab)
	s.putLabel("one", "a", "1")
	want("MODIFIED one=1", "a", a, ab)
	s.putLabel("one", "a", "2")
	want("MODIFIED one=2", "a", a, ab)
	s.remove("one")
	want("DELETED one=2", "a", a, ab)
	s.putLabel("two", "b", "0")
	want("ADDED two=0", "b", b, ab) // and nothing before: b has seen none of a
	s.remove("two")
	want("DELETED two=0", "b", b, ab)
	s.putLabel("three", "a", "0")
	want("ADDED three=0", "a", a, ab) // and nothing before: a has seen none of b
}

func TestWatchersStartFromASpecificResourceVersion(t *testing.T) {
	t.Parallel()
	s := begin(t, "watch-version")
	s.putLabel("one", "a", "0")
	rows := s.putWait("one", map[string]string{watchLabel: "a"}, map[string]string{"value": "1"})
	s.putWait("one", map[string]string{watchLabel: "a"}, map[string]string{"value": "2"})
	s.remove("one")
	versions := make([]string, len(rows))
	for i, row := range rows {
		versions[i] = row.GetResourceVersion()
	}

	w := s.watch(versions, "a")
	w.want(t, "MODIFIED one=2", "a")
	w.want(t, "DELETED one=2", "a")
}

func TestWatchersRestartFromTheLastResourceVersionObserved(t *testing.T) {
	t.Parallel()
	s := begin(t, "watch-restart")
	broken := s.watch(nil, "a")
	s.putLabel("one", "a", "0")
	broken.want(t, "ADDED one=0", "a")
	s.putLabel("one", "a", "1")
	broken.want(t, "MODIFIED one=1", "a")
	broken.stop()
	s.putWait("one", map[string]string{watchLabel: "a"}, map[string]string{"value": "2"})

	restarted := s.watch(broken.versions(), "a")
	s.remove("one")
	restarted.want(t, "MODIFIED one=2", "a")
	restarted.want(t, "DELETED one=2", "a")
}

func TestWatchersObserveADeletionIfAnObjectStopsMeetingTheSelector(t *testing.T) {
	t.Parallel()
	s := begin(t, "watch-transition")
	w, all := s.watch(nil, "a"), s.watch(nil, "a", "other")
	s.putLabel("one", "a", "0")
	w.want(t, "ADDED one=0", "a")
	all.want(t, "ADDED one=0", "a")
	s.putLabel("one", "a", "1")
	w.want(t, "MODIFIED one=1", "a")
	all.want(t, "MODIFIED one=1", "a")
	s.putLabel("one", "other", "1")
	w.want(t, "DELETED one=1", "a") // as it was when it was selected
	all.want(t, "MODIFIED one=1", "other")
	for i := range w {
		if got, want := w[i].version, all[i].version; got != want {
			t.Errorf("%s: the deletion has version %s, want that of the change, %s", w[i].resource, got, want)
		}
	}
	s.putLabel("one", "other", "2")
	all.want(t, "MODIFIED one=2", "other") // which w must not see
	s.putLabel("one", "a", "2")
	w.want(t, "ADDED one=2", "a")
	all.want(t, "MODIFIED one=2", "a")
	s.putLabel("one", "a", "3")
	w.want(t, "MODIFIED one=3", "a")
	s.remove("one")
	w.want(t, "DELETED one=3", "a")
}

// putLabel writes a ConfigMap with a value and the label of watches.
func (s *scene) putLabel(name, label, value string) {
	s.Helper()
	s.put(name, map[string]string{watchLabel: label}, map[string]string{"value": value})
}
