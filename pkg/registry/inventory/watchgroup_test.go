package inventory

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

// counted is a selector that counts what it is asked.
type counted struct {
	labels.Selector
	asked *atomic.Int64
}

func (c counted) Matches(l labels.Labels) bool {
	c.asked.Add(1)
	return c.Selector.Matches(l)
}

func newCounted(t *testing.T, text string) counted {
	t.Helper()
	selector, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return counted{selector, &atomic.Int64{}}
}

func TestAnEventIsMatchedOnceForAllWatchesOfASelection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 3)
		selector := newCounted(t, "n=1")
		start := options{ResourceVersion: version(s.State().Version), LabelSelector: selector}
		var watches []watch.Interface
		for range 50 {
			watches = append(watches, mustWatch(t, in(t, "team-a"), storages["inventoryrows"], start))
		}
		synctest.Wait()
		const changes = 20
		for i := range changes {
			change(s, newRow(apps, 3*i, "b")) // of others
			change(s, newRow(apps, 3*i+1, "b"))
		}
		var all []watch.Event
		for _, w := range watches {
			for i := range changes {
				e := <-w.ResultChan()
				if len(all) == i {
					all = append(all, e)
				}
				if e != all[i] {
					t.Fatalf("event %d: two watches have different ones", i)
				}
			}
		}
		if n := selector.asked.Load(); n > 2*changes {
			t.Errorf("the selector was asked %d times for %d changes", n, changes)
		}
	})
}

func TestAnEventIsLookedAtOnlyForThoseWhoMaySelectIt(t *testing.T) {
	for name, o := range map[string]options{
		"label":          {LabelSelector: newCounted(t, "n=1")},
		"one of labels":  {LabelSelector: newCounted(t, "n in (1,7)")},
		"field":          {LabelSelector: newCounted(t, "app"), FieldSelector: fields.OneTermEqualSelector("source.name", "app-1")},
		"attribute":      {LabelSelector: newCounted(t, "app"), FieldSelector: fields.OneTermEqualSelector("attributes.image", "x")},
		"not by its app": {LabelSelector: newCounted(t, "app!=web"), FieldSelector: fields.ParseSelectorOrDie("inventory=apps,source.uid=uid-1")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, storages := newStorage(t, inventory.Options{})
				addInventory(s, apps, 0)
				o.ResourceVersion = version(s.State().Version)
				w := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], o)
				synctest.Wait()
				asked := o.LabelSelector.(counted).asked
				for i := range 20 {
					change(s, newRow(apps, 3*i, "a"))
				}
				if got := seen(w); len(got) > 0 || asked.Load() > 0 {
					t.Errorf("the selector was asked %d times; got %v", asked.Load(), got)
				}
				change(s, newRow(apps, 1, "x"))
				if seen(w); asked.Load() == 0 {
					t.Error("the selector was not asked")
				}
			})
		})
	}
}

func TestTheDispatcherEndsWithTheLastWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 1)
		groups := storages["inventoryrows"].(*store[row]).groups
		for range 3 {
			a, b := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], options{}), mustWatch(t, in(t, ""), storages["inventoryrows"], options{})
			synctest.Wait()
			d := groups.dispatcher
			a.Stop()
			if isReady(d.done) || groups.dispatcher != d || len(d.byID) != 1 {
				t.Error("the dispatcher has ended before the last watch")
			}
			b.Stop()
			if !isReady(d.done) || groups.dispatcher != nil || len(d.byID) != 0 {
				t.Error("the dispatcher goes on after the last watch")
			}
			if x := d.index; len(x.others)+len(x.fields)+len(x.labels) > 0 {
				t.Errorf("the index has %+v", x)
			}
			change(s, newRow(apps, 1, "b"))
		}
	})
}

// One that is not read does not hold up those who select the same, and is closed.
func TestSlowWatchersDoNotHoldUpTheirGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 0)
		start := options{ResourceVersion: version(s.State().Version), AllowWatchBookmarks: true}
		slow, other := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], start), mustWatch(t, in(t, "team-a"), storages["inventoryrows"], start)
		synctest.Wait()
		const changes = 3 * watchBuffer
		for i := range changes {
			change(s, newRow(apps, i, "a"))
		}
		if got := seen(other); len(got) != changes {
			t.Errorf("got %d events, want %d", len(got), changes)
		}
		<-time.After(patience + time.Second) // of the fake clock
		if got := seen(slow); len(got) != watchBuffer+1 || got[watchBuffer] != "CLOSED" {
			t.Errorf("got %d events of a slow watch, then %v", len(got), got[len(got)-1])
		}
		<-time.After(bookmarkPeriod)
		if got, want := seen(other), "BOOKMARK @"+version(s.State().Version); len(got) != 1 || got[0] != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}

// A watch that accepts no more for a while goes along on its own, and then is
// handed events again.
func TestAWatchThatFallsBehindCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 0)
		w := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], options{ResourceVersion: version(s.State().Version), AllowWatchBookmarks: true})
		for round, changes := range []int{1, 3 * watchBuffer, 1, watchBuffer + 1, 2 * watchBuffer, 1} {
			var want []string
			for i := range changes {
				change(s, newRow(apps, 1000*round+i, "a"))
				want = append(want, fmt.Sprintf("ADDED app-%d@%d", 1000*round+i, s.State().Version-1))
			}
			if diff := cmp.Diff(want, seen(w)); diff != "" {
				t.Fatalf("round %d: (-want +got)\n%s", round, diff)
			}
			<-time.After(bookmarkPeriod)
			if got, want := seen(w), "BOOKMARK @"+version(s.State().Version); len(got) != 1 || got[0] != want {
				t.Fatalf("round %d: got %v, want %s", round, got, want)
			}
		}
	})
}

func TestSelectionsAreToldApart(t *testing.T) {
	selection := func(namespace, label, field string) *selection {
		o := options{FieldSelector: fields.ParseSelectorOrDie(field)}
		var err error
		if o.LabelSelector, err = labels.Parse(label); err != nil {
			t.Fatal(err)
		}
		return newSelection(in(t, namespace), &o)
	}
	ids := map[string]string{}
	for _, same := range [][][3]string{
		{{"", "", ""}},
		{{"a", "", ""}},
		{{"", "a", ""}},
		{{"", "!a", ""}},
		{{"", "a=b", ""}, {"", " a = b", ""}},
		{{"", "a!=b", ""}},
		{{"", "a in (b,c)", ""}, {"", "a in (c, b)", ""}},
		{{"", "a in (b),c", ""}, {"", "c,a in (b)", ""}},
		{{"", "a notin (b,c)", ""}},
		{{"", "a=b,c=d", ""}, {"", "c=d,a=b", ""}},
		{{"", "", "a=b"}, {"", "", "a==b"}},
		{{"", "", "a!=b"}},
		{{"", "", `a=b\,c\=d`}},
		{{"", "", "a=b,c=d"}, {"", "", "c=d,a=b"}},
		{{"", "a=b", "a=b"}},
	} {
		first := selection(same[0][0], same[0][1], same[0][2]).id()
		if other, taken := ids[first]; taken {
			t.Errorf("%q and %q have the id %s", other, same[0], first)
		}
		ids[first] = same[0][0] + "|" + same[0][1] + "|" + same[0][2]
		for _, s := range same {
			if id := selection(s[0], s[1], s[2]).id(); id != first {
				t.Errorf("%q has the id %s, and %q has %s", s, id, same[0], first)
			}
		}
	}
}

// A watch is not told of what it does not select, but bookmarks have passed it.
func TestBookmarksPassWhatOthersSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 1)
		w := mustWatch(t, in(t, "team-a"), storages["inventoryrows"], options{
			ResourceVersion: version(s.State().Version), AllowWatchBookmarks: true, LabelSelector: newCounted(t, "n=1"),
		})
		for range 3 {
			synctest.Wait()
			change(s, newRow(apps, 0, version(s.State().Version)))
			<-time.After(bookmarkPeriod)
			if got, want := seen(w), "BOOKMARK @"+version(s.State().Version); len(got) != 1 || got[0] != want {
				t.Errorf("got %v, want %s", got, want)
			}
		}
	})
}
