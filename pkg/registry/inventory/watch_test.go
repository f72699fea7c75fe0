package inventory

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
)

func mustWatch(t testing.TB, ctx context.Context, s rest.Storage, o options) watch.Interface {
	t.Helper()
	w, err := s.(rest.Watcher).Watch(ctx, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// seen describes the events that have come, as TYPE name@version.
func seen(w watch.Interface) []string {
	events := []string{}
	for {
		synctest.Wait()
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				return append(events, "CLOSED")
			}
			events = append(events, describe(e))
		default:
			return events
		}
	}
}

func describe(e watch.Event) string {
	if status, ok := e.Object.(*metav1.Status); ok {
		return fmt.Sprintf("%s %d %s", e.Type, status.Code, status.Reason)
	}
	m, err := meta.Accessor(e.Object)
	if err != nil {
		return err.Error()
	}
	name := m.GetLabels()["id"]
	if v, ok := e.Object.(*view[row]); ok {
		name = v.item.object.Row.Name()
	} else if v, ok := e.Object.(*view[accessibleRow]); ok {
		name = v.item.object.Row.Name()
	} else if i, ok := e.Object.(*item[row]); ok {
		name = i.object.Row.Name()
	} else if e.Type != watch.Bookmark {
		name = m.GetName()
	}
	if m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		name = "initial-events-end"
	}
	return fmt.Sprintf("%s %s@%s", e.Type, name, m.GetResourceVersion())
}

func ptr[T any](v T) *T { return &v }

func TestWatchVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 0)
		change(s, newRow(apps, 1, "a"))
		first := s.State().Version // the head's; the row's is the one before
		change(s, newRow(apps, 1, "b"))
		remove(s, newRow(apps, 1, ""))
		change(s, newRow(apps, 2, "a"))
		newest := s.State().Version
		added := version(newest - 1)
		state := []string{"ADDED app-2@" + added}
		since := []string{"MODIFIED app-1@*", "DELETED app-1@*", "ADDED app-2@" + added}
		for name, test := range map[string]struct {
			options options
			want    []string
		}{
			"none":                              {options{}, state},
			"zero":                              {options{ResourceVersion: "0"}, state},
			"a state's":                         {options{ResourceVersion: version(first)}, since},
			"an event's":                        {options{ResourceVersion: version(first - 1)}, since},
			"the newest":                        {options{ResourceVersion: version(newest)}, []string{}},
			"never issued":                      {options{ResourceVersion: "12"}, []string{"ERROR 410 Expired", "CLOSED"}},
			"future":                            {options{ResourceVersion: version(newest + 1e12)}, []string{"ERROR 504 Timeout", "CLOSED"}},
			"none, bookmarks":                   {options{AllowWatchBookmarks: true}, state},
			"initial events":                    {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true}, append(state[:1:1], "BOOKMARK initial-events-end@"+version(newest))},
			"initial events, no bookmarks":      {options{SendInitialEvents: ptr(true)}, state},
			"initial events, zero":              {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true, ResourceVersion: "0"}, append(state[:1:1], "BOOKMARK initial-events-end@"+version(newest))},
			"initial events, old":               {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true, ResourceVersion: version(first)}, append(state[:1:1], "BOOKMARK initial-events-end@"+version(newest))},
			"initial events, never issued":      {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true, ResourceVersion: "12"}, []string{"ERROR 410 Expired", "CLOSED"}},
			"initial events, future":            {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true, ResourceVersion: version(newest + 1e12)}, []string{"ERROR 504 Timeout", "CLOSED"}},
			"no initial events, none":           {options{SendInitialEvents: ptr(false)}, []string{}},
			"no initial events, zero":           {options{SendInitialEvents: ptr(false), ResourceVersion: "0"}, []string{}},
			"no initial events, a state's":      {options{SendInitialEvents: ptr(false), ResourceVersion: version(first)}, since},
			"initial events, nothing selected":  {options{SendInitialEvents: ptr(true), AllowWatchBookmarks: true, LabelSelector: labels.SelectorFromSet(labels.Set{"x": "y"})}, []string{"BOOKMARK initial-events-end@" + version(newest)}},
			"none, one name":                    {options{FieldSelector: fields.OneTermEqualSelector("source.name", "app-1")}, []string{}},
			"a state's, one object":             {options{ResourceVersion: version(first), FieldSelector: fields.OneTermEqualSelector("source.name", "app-1")}, since[:2]},
			"a state's, another inventory":      {options{ResourceVersion: version(first), FieldSelector: fields.OneTermEqualSelector("inventory", "x")}, []string{}},
			"a state's, name without inventory": {options{ResourceVersion: version(first), FieldSelector: fields.OneTermEqualSelector("metadata.name", "x")}, []string{}},
		} {
			got := seen(mustWatch(t, in(t, "team-a"), storages["inventoryrows"], test.options))
			for i := range got {
				if i < len(test.want) && test.want[i][len(test.want[i])-1] == '*' {
					got[i] = got[i][:len(test.want[i])-1] + "*"
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", name, diff)
			}
		}
		if _, err := storages["inventoryrows"].(rest.Watcher).Watch(in(t, ""), &options{ResourceVersion: "x"}); !errors.IsBadRequest(err) {
			t.Errorf("not a number: got %v, want a bad request", err)
		}
	})
}

func TestTheFutureIsTooLarge(t *testing.T) {
	_, storages := newStorage(t, inventory.Options{})
	w := mustWatch(t, in(t, ""), storages["inventoryrows"], options{ResourceVersion: "9000000000000000000"})
	e := <-w.ResultChan()
	if err := errors.FromObject(e.Object); e.Type != watch.Error || !storage.IsTooLargeResourceVersion(err) {
		t.Errorf("got %s %v", e.Type, err)
	}
}

func TestWatchSelectorTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 0)
		labelled := func(n, image string) *inventory.Row {
			return inventory.NewRow(inventory.RowContent{
				Resource: deployments, Target: targetOf(apps), Name: "app", UID: "1",
				Labels: map[string]string{"n": n}, Attributes: fmt.Appendf(nil, `{"image":%q}`, image),
			})
		}
		w := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], options{LabelSelector: labels.SelectorFromSet(labels.Set{"n": "1"})})
		type step struct {
			n, image, want, has string
		}
		for i, step := range []step{
			{"0", "a", "", ""},
			{"1", "b", "ADDED", "b"},
			{"1", "c", "MODIFIED", "c"},
			{"2", "d", "DELETED", "c"}, // the last that was selected
			{"2", "e", "", ""},
			{"1", "f", "ADDED", "f"},
		} {
			change(s, labelled(step.n, step.image))
			synctest.Wait()
			select {
			case e := <-w.ResultChan():
				object := e.Object.(*view[row]).item.object
				image, _ := inventory.Member(object.Row.Attributes(), "image")
				if got := string(e.Type); got != step.want || inventory.Unquote(image) != step.has || object.Version != s.State().Version-1 {
					t.Errorf("step %d: got %s of %s at %d, want %s of %q at %d", i, got, image, object.Version, step.want, step.has, s.State().Version-1)
				}
			default:
				if step.want != "" {
					t.Errorf("step %d: got nothing, want %s", i, step.want)
				}
			}
		}
		remove(s, labelled("1", ""))
		if got, want := seen(w), []string{"DELETED app@" + version(s.State().Version-1)}; !cmp.Equal(got, want) {
			t.Errorf("removed: got %v, want %v", got, want)
		}
	})
}

func TestBookmarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 1)
		start := s.State().Version
		ctx, cancel := context.WithTimeout(in(t, "team-a"), 150*time.Second)
		defer cancel()
		w := mustWatch(t, ctx, storages["inventoryrows"], options{ResourceVersion: version(start), AllowWatchBookmarks: true})
		silent := mustWatch(t, ctx, storages["inventoryrows"], options{ResourceVersion: version(start)})
		addInventory(s, platform, 1) // of another resource
		moved := s.State().Version
		var got []string
		var at []time.Duration
		began := time.Now()
		for e := range w.ResultChan() {
			got, at = append(got, describe(e)), append(at, time.Since(began))
		}
		bookmark := "BOOKMARK @" + version(moved)
		if diff := cmp.Diff([]string{bookmark, bookmark, bookmark}, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]time.Duration{time.Minute, 2 * time.Minute, 148 * time.Second}, at); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"CLOSED"}, seen(silent)); diff != "" {
			t.Error(diff)
		}
		// A version that was handed out can be listed and watched.
		change(s, newRow(apps, 1, "b"))
		if l := mustList(t, in(t, "team-a"), storages["inventoryrows"], options{ResourceVersion: version(moved), ResourceVersionMatch: metav1.ResourceVersionMatchExact}); len(keysOf(l)) != 1 {
			t.Error("list at a bookmark: not what was there")
		}
	})
}

func TestSlowWatchersAreClosed(t *testing.T) {
	for name, history := range map[string]int{"impatience": 0, "history": 50} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, storages := newStorage(t, inventory.Options{HistoryEvents: history})
				addInventory(s, apps, 0)
				w := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], options{ResourceVersion: version(s.State().Version)})
				waiting := mustWatch(t, in(t, "team-b"), storages["inventoryrows"], options{ResourceVersion: version(s.State().Version)})
				for i := range 3 * watchBuffer {
					change(s, newRow(apps, i, "a"))
					synctest.Wait()
				}
				began := time.Now()
				if history == 0 {
					<-time.After(patience + time.Second) // of the fake clock
				}
				n := 0
				for range w.ResultChan() {
					n++
				}
				if n > watchBuffer+1 || time.Since(began) > patience+time.Second {
					t.Errorf("got %d events after %v", n, time.Since(began))
				}
				if got := seen(waiting); len(got) > 0 {
					t.Errorf("a watch that had nothing to read: got %v", got)
				}
			})
		})
	}
}

func TestEventsAreSharedByWatches(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 1)
	start := options{ResourceVersion: version(s.State().Version)}
	first, second := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], start), mustWatch(t, in(t, ""), storages["inventoryrows"], start)
	change(s, newRow(apps, 0, "b"))
	a, b := (<-first.ResultChan()).Object.(*view[row]), (<-second.ResultChan()).Object.(*view[row])
	if a.event != b.event {
		t.Error("two watches have two events")
	}
}
