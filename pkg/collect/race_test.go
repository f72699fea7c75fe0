package collect

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kollect.io/kollect/pkg/inventory"
)

// The tests in this file put by hand what the goroutines of a resource do into
// orders that are rare.

// bench is a resource without goroutines.
type bench struct {
	*testing.T
	*resource
	collector *Collector
	store     *inventory.Store
}

func newBench(t *testing.T, names ...string) *bench {
	store := inventory.NewStore(inventory.Options{})
	collector := newCollector(store, newCluster().open, Options{})
	b := &bench{T: t, collector: collector, store: store}
	for _, name := range names {
		b.add(name)
	}
	return b
}

// object returns an object of the given version, as it is decoded.
func widget(name, uid, version, value string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": "ns", "name": name, "uid": uid, "resourceVersion": version},
		"spec":     map[string]any{"value": value},
	}}
}

func (b *bench) evaluate(objects ...*unstructured.Unstructured) (list []any) {
	e := b.newEvaluator()
	for _, o := range objects {
		list = append(list, e.evaluate(o))
	}
	return list
}

func (b *bench) page(f *backfill, objects ...*unstructured.Unstructured) (page []*extracted) {
	e := b.newEvaluator()
	e.only = f.only
	for _, o := range objects {
		page = append(page, e.evaluate(o))
	}
	return page
}

func (b *bench) relist(version string, list []any) {
	b.Helper()
	if err := b.Replace(list, version); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) add(name string) { b.set(widgetTarget(name)) }

func (b *bench) set(target Target) {
	b.collector.SetTarget(target)
	b.resource = b.collector.resources[*target.Resource]
	b.drain()
}

// see takes in an event.
func (b *bench) see(o *unstructured.Unstructured) {
	b.Helper()
	if err := b.Add(b.evaluate(o)[0]); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) deleted(name, version string) {
	o := newObject(widget(name, "", version, ""))
	if err := b.Delete(&o); err != nil {
		b.Fatal(err)
	}
}

// want compares the values of the target's rows, by name.
func (b *bench) want(target string, want ...string) {
	b.Helper()
	for i := range want {
		want[i] = "ns/" + want[i]
	}
	slices.Sort(want)
	got := rows(b, b.store, inventory.TargetRef{Namespace: "tenant", Name: target})
	if diff := cmp.Diff(want, got, cmp.Transformer("slice", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		b.Errorf("rows of %s (-want +got):\n%s", target, diff)
	}
}

func row(name, uid, value string) string {
	return name + "/" + uid + `={"rev":"1","value":` + strconv.Quote(value) + `}`
}

func TestEventFromBeforeATargetCameDropsNothingOfIt(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	b.relist("5", nil)
	event := b.evaluate(widget("w", "u", "10", "x"))
	b.add("late")
	f := b.beginBackfill()
	if err := f.apply(b.page(f, widget("w", "u", "10", "x"))); err != nil {
		t.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		t.Fatal(err)
	}
	b.want("early")
	b.apply(event[0].(*extracted))
	b.want("early", row("w", "u", "x"))
	b.want("late", row("w", "u", "x"))
}

func TestEventFromBeforeANamespaceJoinedIsNotOfIt(t *testing.T) {
	b := newBench(t, "t")
	b.listBegan()
	b.relist("5", nil)
	event := b.evaluate(widget("w", "u", "10", "x"))
	out := widgetTarget("t")
	out.Namespaces.Exclude = []string{"ns"}
	b.collector.SetTarget(out)
	b.collector.SetTarget(widgetTarget("t"))
	b.drain()
	b.apply(event[0].(*extracted))
	b.want("t")
	if len(b.requests) != 1 {
		t.Errorf("requests: got %d, want the one that reads the namespace", len(b.requests))
	}
}

func TestBackfillStartsAnewAfterARelist(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	b.relist("5", b.evaluate(widget("w", "u", "4", "x")))
	b.add("late")
	f := b.beginBackfill()
	page := b.page(f, widget("w", "u", "4", "x"))
	b.listBegan()
	b.relist("20", nil) // w went while nothing was watched
	if err := f.apply(page); err != errRelisted {
		t.Fatalf("apply a page from before the relist: got %v, want %v", err, errRelisted)
	}
	if err := b.endBackfill(f, errRelisted); err != nil {
		t.Fatal(err)
	}
	b.want("early")
	b.want("late")
	if !stateOf(b.store, inventory.TargetRef{Namespace: "tenant", Name: "late"}).Synced {
		t.Error("late is not synced, though the relist began after it came")
	}
}

func TestBackfillIsOlderThanEventsMeanwhile(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	b.relist("5", b.evaluate(widget("changed", "u1", "1", "x"), widget("gone", "u2", "2", "x"), widget("again", "u3", "3", "x")))
	b.add("late")
	f := b.beginBackfill()
	page := b.page(f, widget("changed", "u1", "1", "x"), widget("gone", "u2", "2", "x"), widget("again", "u3", "3", "x"))
	b.apply(b.evaluate(widget("changed", "u1", "6", "y"))[0].(*extracted))
	b.deleted("gone", "7")
	b.deleted("again", "8")
	b.apply(b.evaluate(widget("again", "u4", "9", "y"))[0].(*extracted))
	if err := f.apply(page); err != nil {
		t.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"early", "late"} {
		b.want(target, row("changed", "u1", "y"), row("again", "u4", "y"))
	}
}

func TestEventsOlderThanABackfillAreIgnored(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	b.relist("5", b.evaluate(widget("w", "u1", "4", "x")))
	b.add("late")
	f := b.beginBackfill()
	if err := f.apply(b.page(f, widget("w", "u2", "9", "z"))); err != nil {
		t.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		t.Fatal(err)
	}
	b.deleted("w", "8") // the former w
	b.want("late", row("w", "u2", "z"))
	b.apply(b.evaluate(widget("w", "u2", "9", "z"))[0].(*extracted))
	b.want("early", row("w", "u2", "z"))
	b.want("late", row("w", "u2", "z"))
}

func TestRelistOlderThanABackfillTakesNothingBack(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	b.relist("5", nil)
	b.add("late")
	f := b.beginBackfill()
	if err := f.apply(b.page(f, widget("new", "u1", "30", "z"), widget("w", "u2", "31", "z"))); err != nil {
		t.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		t.Fatal(err)
	}
	b.listBegan()
	b.relist("25", b.evaluate(widget("w", "u2", "24", "y")))
	b.want("late", row("new", "u1", "z"), row("w", "u2", "z"))
	b.want("early", row("w", "u2", "y"))
}

func TestRelistAfterLostHistoryIsTheTruth(t *testing.T) {
	b := newBench(t, "t")
	b.listBegan()
	b.relist("50", b.evaluate(widget("gone", "u1", "40", "x"), widget("w", "u2", "41", "x")))
	b.listBegan()
	b.relist("20", b.evaluate(widget("w", "u2", "11", "y")))
	b.want("t", row("w", "u2", "y"))
	b.apply(b.evaluate(widget("w", "u2", "21", "z"))[0].(*extracted))
	b.want("t", row("w", "u2", "z"))
}

func TestTargetThatCameDuringAListIsNotSyncedByIt(t *testing.T) {
	b := newBench(t, "early")
	b.listBegan()
	list := b.evaluate(widget("w", "u", "4", "x"))
	b.add("late")
	b.relist("5", list)
	b.want("early", row("w", "u", "x"))
	late := inventory.TargetRef{Namespace: "tenant", Name: "late"}
	if stateOf(b.store, late).Synced {
		t.Error("late is synced by a list that began before it came")
	}
	f := b.beginBackfill()
	if err := f.apply(b.page(f, widget("w", "u", "4", "x"))); err != nil {
		t.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		t.Fatal(err)
	}
	b.want("late", row("w", "u", "x"))
	if !stateOf(b.store, late).Synced {
		t.Error("late is not synced after its backfill")
	}
}

func TestRowsOfARemovedTargetDoNotComeBack(t *testing.T) {
	b := newBench(t, "kept", "removed")
	b.listBegan()
	b.relist("5", b.evaluate(widget("w", "u", "4", "x")))
	event := b.evaluate(widget("w", "u", "6", "y"))
	b.collector.RemoveTarget(inventory.TargetRef{Namespace: "tenant", Name: "removed"})
	b.apply(event[0].(*extracted)) // before the worker knows
	b.want("removed")
	b.drain()
	b.want("removed")
	b.want("kept", row("w", "u", "y"))
	if n := len(b.index["ns"].records["w"].entries); n != 1 {
		t.Errorf("entries of w: got %d, want 1", n)
	}
}

func TestRelistDropsNothingThatItDidNotLookFor(t *testing.T) {
	suspended := widgetTarget("t")
	suspended.Suspend = true
	excluded := widgetTarget("t")
	excluded.Namespaces.Exclude = []string{"ns"}
	other := widgetTarget("t")
	other.Names = []string{"other"}
	other.Revision = "0"
	for _, tc := range []struct {
		name    string
		blind   Target // as it is while the list is decoded
		before  bool   // the row is from before the list, else from a backfill beside it
		version string // of the list
		object  string // its version after the list
	}{
		{"a target that goes on", suspended, true, "20", "5"},
		{"a target that goes on after lost history", suspended, true, "3", "2"},
		{"a namespace that joins", excluded, false, "20", "5"},
		{"a target that changes", other, false, "20", "5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "t")
			b.listBegan()
			var first []any
			if tc.before {
				first = b.evaluate(widget("w", "u", "5", "x"))
			}
			b.relist("10", first)
			b.collector.SetTarget(tc.blind)
			b.drain()
			b.listBegan()
			if found := b.evaluate(widget("w", "u", tc.object, "x"))[0].(*extracted).found; len(found) > 0 {
				t.Fatal("the list looks for the object")
			}
			b.collector.SetTarget(widgetTarget("t"))
			b.drain()
			if !tc.before {
				b.backfilled(widget("w", "u", "5", "x"))
			}
			b.relist(tc.version, nil)
			b.want("t", row("w", "u", "x"))
			b.backfilled(widget("w", "u", tc.object, "x"))
			b.want("t", row("w", "u", "x"))
			b.listBegan()
			b.relist("30", nil)
			b.want("t")
		})
	}
}

// backfilled makes the backfill that is wanted.
func (b *bench) backfilled(objects ...*unstructured.Unstructured) {
	b.Helper()
	f := b.beginBackfill()
	if err := f.apply(b.page(f, objects...)); err != nil {
		b.Fatal(err)
	}
	if err := b.endBackfill(f, nil); err != nil {
		b.Fatal(err)
	}
}
