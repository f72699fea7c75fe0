package collect

import (
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kollect.io/kollect/pkg/inventory"
)

var refused = &url.Error{Op: "Get", URL: "https://127.0.0.1", Err: &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}

// failWith fails calls for the resources.
func failWith(err error, resources ...string) func(string, schema.GroupVersionResource, metav1.ListOptions) error {
	return func(_ string, gvr schema.GroupVersionResource, _ metav1.ListOptions) error {
		for _, resource := range resources {
			if gvr.Resource == resource {
				return err
			}
		}
		return nil
	}
}

func TestAnOutageLeavesTheRowsAndSaysWhatMendsIt(t *testing.T) {
	forbidden := apierrors.NewForbidden(widgets.GroupResource(), "", errors.New("no"))
	for _, test := range []struct {
		name string
		err  error
		want []string
	}{
		{"forbidden", forbidden, []string{"may not", "widgets.example.io", "list, watch", `kollect.io/aggregate-to-collect: "true"`}},
		{"not found", apierrors.NewNotFound(widgets.GroupResource(), ""), []string{"no resource widgets.example.io", "CustomResourceDefinition"}},
		{"refused", refused, []string{"can not be reached", "connection refused"}},
		{"unauthorized", apierrors.NewUnauthorized("no"), []string{"credentials"}},
		{"busy", apierrors.NewTooManyRequests("busy", 1), []string{"too busy"}},
		{"other", errors.New("strange"), []string{"strange", "tried again"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster()
				c.put(widgets, "ns", "kept", nil, "x")
				c.put(widgets, "ns", "gone", nil, "x")
				collector, store, stop := collecting(t, c, Options{})
				defer stop()
				target := widgetTarget("t")
				collector.SetTarget(target)
				settle()
				want := c.expected(target)

				c.failing(failWith(test.err, "widgets"))
				c.hold(true)
				c.remove(widgets, "ns", "gone")
				c.cut(true)
				settle()
				state := stateOf(store, target.Ref)
				if !state.Synced || !state.Stale {
					t.Errorf("state in the outage: %+v, want synced and stale", state)
				}
				for _, part := range test.want {
					if !strings.Contains(state.Message, part) {
						t.Errorf("message %q has no %q", state.Message, part)
					}
				}
				if diff := cmp.Diff(want, rows(t, store, target.Ref)); diff != "" {
					t.Errorf("rows in the outage (-want +got):\n%s", diff)
				}

				c.failing(nil)
				settle()
				if state := stateOf(store, target.Ref); !state.Stale {
					t.Errorf("state while all is listed again: %+v, want stale", state)
				}
				c.hold(false)
				settle()
				if state := stateOf(store, target.Ref); state.Stale || state.Message != "" || state.Rows != 1 {
					t.Errorf("state after the outage: %+v, want one row, not stale", state)
				}
			})
		})
	}
}

func TestATargetThatWasNeverListedIsNotSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(widgets, "ns", "w", nil, "x")
		c.failing(failWith(apierrors.NewNotFound(widgets.GroupResource(), ""), "widgets"))
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		target, other := widgetTarget("t"), widgetTarget("other")
		gadgets := *other.Resource
		gadgets.Resource, gadgets.Kind = "gadgets", "Gadget"
		other.Resource = &gadgets
		collector.SetTarget(target)
		collector.SetTarget(other)
		settle()
		if state := stateOf(store, target.Ref); state.Synced || !state.Stale {
			t.Errorf("state without the resource: %+v, want stale and not synced", state)
		}
		if state := stateOf(store, other.Ref); !state.Synced || state.Stale {
			t.Errorf("state of another resource's target: %+v, want synced", state)
		}
		c.failing(nil)
		settle()
		if state := stateOf(store, target.Ref); !state.Synced || state.Stale || state.Rows != 1 {
			t.Errorf("state with the resource: %+v, want one row, synced", state)
		}
	})
}

func TestATargetByLabelsOfNamespacesNeedsTheirList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(namespaceResource, "", "ns", map[string]string{"team": "a"}, "")
		c.put(widgets, "ns", "w", nil, "x")
		c.failing(failWith(apierrors.NewForbidden(namespaceResource.GroupResource(), "", errors.New("no")), "namespaces"))
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		target := widgetTarget("t")
		target.Namespaces = NamespaceScope{Selector: labels.SelectorFromSet(labels.Set{"team": "a"})}
		collector.SetTarget(target)
		collector.SetTarget(widgetTarget("all"))
		settle()
		state := stateOf(store, target.Ref)
		if state.Synced || !state.Stale || !strings.Contains(state.Message, "namespaces") {
			t.Errorf("state without the list of namespaces: %+v, want stale, not synced, and why", state)
		}
		if state := stateOf(store, inventory.TargetRef{Namespace: "tenant", Name: "all"}); !state.Synced || state.Stale {
			t.Errorf("state of a target of all namespaces: %+v, want synced", state)
		}
		c.failing(nil)
		settle()
		if state := stateOf(store, target.Ref); !state.Synced || state.Stale || state.Rows != 1 {
			t.Errorf("state with the list: %+v, want one row, synced", state)
		}
	})
}

func TestRunEndsSoonWhenNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.failing(failWith(refused, "widgets", "namespaces"))
		collector, _, stop := collecting(t, c, Options{})
		target := widgetTarget("t")
		target.Namespaces.Selector, target.Namespaces.All = labels.Everything(), false
		collector.SetTarget(target)
		collector.SetTarget(widgetTarget("other"))
		settle()
		start := time.Now()
		stop()
		if d := time.Since(start); d > 0 {
			t.Errorf("Run ended after %v, want at once", d)
		}
	})
}

func TestFailuresAreCountedUntilTheyAreMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		for _, name := range []string{"a", "b"} {
			c.put(widgets, "ns", name, nil, "bad")
		}
		c.put(widgets, "ns", "c", nil, "panic")
		c.put(widgets, "ns", "d", nil, "x")
		var mu sync.Mutex
		news := 0
		collector, store, stop := collecting(t, c, Options{Changed: func(inventory.TargetRef) {
			mu.Lock()
			news++
			mu.Unlock()
		}})
		defer stop()
		target := widgetTarget("t")
		collector.SetTarget(target)
		settle()
		want := []Failure{
			{Reason: "EvaluationFailed", Message: "the extraction panicked (string); this is a defect of the server", Objects: 1, Namespace: "ns", Name: "c"},
			{Attribute: "value", Reason: "NotFound", Message: "no value", Objects: 2, Namespace: "ns", Name: "a"},
		}
		if diff := cmp.Diff(want, collector.Failures(target.Ref)); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
		if state := stateOf(store, target.Ref); state.Rows != 3 {
			t.Errorf("rows beside failures: got %d, want those of all but the panic", state.Rows)
		}
		before := news
		c.put(widgets, "ns", "a", nil, "x")
		c.remove(widgets, "ns", "c")
		settle()
		want = []Failure{{Attribute: "value", Reason: "NotFound", Message: "no value", Objects: 1, Namespace: "ns", Name: "b"}}
		if diff := cmp.Diff(want, collector.Failures(target.Ref)); diff != "" {
			t.Errorf("failures after one was mended (-want +got):\n%s", diff)
		}
		if news < before+2 {
			t.Errorf("news of mended failures: got %d, want 2 at least", news-before)
		}
	})
}

func TestTargetsThatComeTogetherShareAList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(widgets, "ns", "w", nil, "x")
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		collector.SetTarget(widgetTarget("first"))
		settle()
		for _, name := range []string{"a", "b", "c"} {
			collector.SetTarget(widgetTarget(name))
		}
		settle()
		if n := c.callsOf("list widgets"); n != 1 {
			t.Errorf("lists for three targets: got %d, want 1", n)
		}
		for _, name := range []string{"a", "b", "c"} {
			if state := stateOf(store, inventory.TargetRef{Namespace: "tenant", Name: name}); !state.Synced || state.Rows != 1 {
				t.Errorf("state of %s: %+v, want one row, synced", name, state)
			}
		}
		for _, name := range []string{"a", "b", "c", "first"} {
			collector.RemoveTarget(inventory.TargetRef{Namespace: "tenant", Name: name})
		}
		settle()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.watchers) != 0 {
			t.Errorf("watches of a resource without targets: %d", len(c.watchers))
		}
	})
}

// A definition may be deleted and come again with another kind of the same name.
func TestTargetsOfAResourceMoveToAnotherKindOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(widgets, "ns", "w", nil, "x")
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		all := inventory.Ref{Name: "all"}
		first, second := widgetTarget("first"), widgetTarget("second")
		store.Update(func(tx *inventory.Tx) {
			tx.SetInventory(inventory.Inventory{Ref: all, Targets: []inventory.TargetRef{first.Ref, second.Ref}})
		})
		for _, kind := range []string{"Widget", "Gizmo"} {
			resource := *first.Resource
			resource.Kind = kind
			for _, target := range []Target{first, second} {
				target.Resource = &resource
				collector.SetTarget(target)
			}
			settle()
			want := []inventory.KindCount{{Group: widgets.Group, Kind: kind, Rows: 2}}
			if diff := cmp.Diff(want, store.State().Snapshot(all).Head().Kinds); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		}
	})
}

func TestASuspendedTargetKeepsItsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(widgets, "ns", "kept", nil, "x")
		c.put(widgets, "ns", "gone", nil, "x")
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		target := widgetTarget("t")
		collector.SetTarget(target)
		settle()
		want := c.expected(target)
		target.Suspend = true
		collector.SetTarget(target)
		settle()
		c.remove(widgets, "ns", "gone")
		c.put(widgets, "ns", "kept", nil, "y")
		c.cut(true)
		settle()
		if diff := cmp.Diff(want, rows(t, store, target.Ref)); diff != "" {
			t.Errorf("rows while suspended (-want +got):\n%s", diff)
		}
		if state := stateOf(store, target.Ref); !state.Stale || !state.Synced {
			t.Errorf("state while suspended: %+v, want synced and stale", state)
		}
		target.Suspend = false
		collector.SetTarget(target)
		settle()
		if diff := cmp.Diff(c.expected(target), rows(t, store, target.Ref)); diff != "" {
			t.Errorf("rows after it (-want +got):\n%s", diff)
		}
	})
}

func TestAChangedTargetServesItsRowsUntilAllWereReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.put(widgets, "ns", "w", map[string]string{"a": "1"}, "x")
		c.put(widgets, "ns", "v", nil, "x")
		collector, store, stop := collecting(t, c, Options{})
		defer stop()
		target := widgetTarget("t")
		collector.SetTarget(target)
		settle()
		want := c.expected(target)
		c.failing(failWith(errors.New("as told"), "widgets"))
		target.Revision, target.Extract, target.Labels = "2", valueOf("2"), labels.SelectorFromSet(labels.Set{"a": "1"})
		collector.SetTarget(target)
		settle()
		if diff := cmp.Diff(want, rows(t, store, target.Ref)); diff != "" {
			t.Errorf("rows before the list (-want +got):\n%s", diff)
		}
		if state := stateOf(store, target.Ref); !state.Stale || !strings.Contains(state.Message, "as told") {
			t.Errorf("state before the list: %+v, want stale and why", state)
		}
		c.failing(nil)
		settle()
		if diff := cmp.Diff(c.expected(target), rows(t, store, target.Ref)); diff != "" {
			t.Errorf("rows after the list (-want +got):\n%s", diff)
		}
	})
}
