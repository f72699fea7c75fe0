package kubernetes

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// watcher is a watch of one view. It wants each event that comes, in order.
type watcher struct {
	view
	watch.Interface
	version string // of the last event
}

// watchers are watches of the same rows, one a view. What is wanted is wanted of
// each.
type watchers []*watcher

// watchLabel is the label by which the watches of a test are told apart.
const watchLabel = "watch-this"

// watch watches, in each view, the rows whose label has one of the values, from
// the versions on, of which there is one a view, or from any.
func (s *scene) watch(versions []string, values ...string) watchers {
	s.Helper()
	return s.watchFor(versions, metav1.ListOptions{LabelSelector: watchLabel + " in (" + strings.Join(values, ",") + ")"})
}

// watchFor is watch with the selectors of options.
func (s *scene) watchFor(versions []string, options metav1.ListOptions) watchers {
	s.Helper()
	all := make(watchers, len(s.views))
	for i, v := range s.views {
		options := options
		options.FieldSelector = strings.Trim(v.scope+","+options.FieldSelector, ",")
		if versions != nil {
			options.ResourceVersion = versions[i]
		}
		w, err := v.client.Watch(s.Context(), options)
		s.must(err)
		s.Cleanup(w.Stop)
		all[i] = &watcher{view: v, Interface: w}
	}
	return all
}

// want wants one event of each watch, such as "ADDED name=value", and the label.
func (ws watchers) want(t *testing.T, event, label string) {
	t.Helper()
	for _, w := range ws {
		row := w.next(t)
		if row.event != event {
			t.Fatalf("%s: got %s, want %s", w.resource, row.event, event)
		}
		if got := row.GetLabels()[watchLabel]; got != label {
			t.Errorf("%s: label in %s: got %q, want %q", w.resource, row.event, got, label)
		}
	}
}

// versions returns the version of the last event of each watch.
func (ws watchers) versions() []string {
	versions := make([]string, len(ws))
	for i, w := range ws {
		versions[i] = w.version
	}
	return versions
}

func (ws watchers) stop() {
	for _, w := range ws {
		w.Stop()
	}
}

type seen struct {
	*unstructured.Unstructured
	event string
}

// next waits for an event. Versions only rise.
func (w *watcher) next(t *testing.T) seen {
	t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	select {
	case e, ok := <-w.ResultChan():
		row, is := e.Object.(*unstructured.Unstructured)
		if !ok || !is || e.Type == watch.Error {
			t.Fatalf("%s: got %s %v, want a row", w.resource, e.Type, e.Object)
		}
		if w.version != "" && number(t, row.GetResourceVersion()) <= number(t, w.version) {
			t.Errorf("%s: version %s comes after %s", w.resource, row.GetResourceVersion(), w.version)
		}
		w.version = row.GetResourceVersion()
		return seen{row, fmt.Sprintf("%s %s=%s", e.Type, sourceOf(row), valueOf(row))}
	case <-timeout.C:
		t.Fatalf("%s: no event after %s", w.resource, deadline)
	}
	panic("unreachable")
}

func number(t *testing.T, version string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(version, 10, 63)
	if err != nil {
		t.Fatalf("version of a row: %v", err)
	}
	return n
}
