package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

// valueOf extracts spec.value and the revision; "bad" has none.
type valueOf string

func (v valueOf) Attributes(buf []byte, o map[string]any) ([]byte, []extract.AttributeError) {
	value, _, _ := unstructured.NestedString(o, "spec", "value")
	switch value {
	case "bad":
		return append(buf, "{}"...), []extract.AttributeError{{Attribute: "value", Reason: extract.NotFound, Message: "no value"}}
	case "panic":
		panic("as told")
	}
	return fmt.Appendf(buf, `{"rev":%q,"value":%q}`, string(v), value), nil
}

// not matches objects whose value is another; it fails for "bad".
type not string

func (n not) Matches(o map[string]any) (bool, error) {
	value, _, _ := unstructured.NestedString(o, "spec", "value")
	if value == "bad" {
		return false, &extract.MatchError{Reason: extract.WrongType, Message: "no match"}
	}
	return value != string(n), nil
}

func widgetTarget(name string) Target {
	return Target{
		Ref:        inventory.TargetRef{Namespace: "tenant", Name: name},
		Resource:   &inventory.Resource{Group: widgets.Group, Version: widgets.Version, Resource: widgets.Resource, Kind: "Widget"},
		Namespaced: true,
		Revision:   "1",
		Extract:    valueOf("1"),
		Namespaces: NamespaceScope{All: true},
	}
}

// expected recomputes the rows of a target from the objects of the cluster.
func (c *cluster) expected(t Target) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []string{}
	for _, o := range c.objects[widgets] {
		ns := c.objects[namespaceResource]["/"+o.GetNamespace()]
		var set labels.Set
		if ns != nil {
			set = ns.GetLabels()
		}
		switch {
		case len(t.Names) > 0 && !slices.Contains(t.Names, o.GetName()),
			t.Labels != nil && !t.Labels.Matches(labels.Set(o.GetLabels())),
			!t.Namespaces.Selects(o.GetNamespace(), set, ns != nil || t.Namespaces.All && t.Permitted == nil),
			!t.permits(o.GetNamespace()):
			continue
		}
		if t.Match != nil {
			if matches, _ := t.Match.Matches(o.Object); !matches {
				continue
			}
		}
		attributes, _ := t.Extract.Attributes(nil, o.Object)
		out = append(out, describe(o.GetNamespace(), o.GetName(), string(o.GetUID()), attributes))
	}
	slices.Sort(out)
	return out
}

// collecting runs a collector in the bubble of a test until the returned
// function is called.
func collecting(t *testing.T, c *cluster, options Options) (*Collector, *inventory.Store, func()) {
	t.Helper()
	store := inventory.NewStore(inventory.Options{})
	collector := newCollector(store, c.open, options)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- collector.Run(ctx) }()
	return collector, store, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// settle lets all that waits happen.
func settle() {
	time.Sleep(5 * time.Minute)
	synctest.Wait()
}

func TestRowsAreWhatAModelRecomputes(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { play(t, rand.New(rand.NewPCG(seed, 1)), 120) })
		})
	}
}

// game plays random steps against a cluster and its collector.
type game struct {
	*rand.Rand
	cluster   *cluster
	collector *Collector
	store     *inventory.Store
	targets   map[string]Target
	revision  int
}

func play(t *testing.T, rnd *rand.Rand, steps int) {
	c := newCluster()
	c.old = rnd.IntN(4) == 0
	delays, most := rand.New(rand.NewPCG(rnd.Uint64(), 2)), int64(1+rnd.IntN(300))
	c.latency = func() time.Duration {
		if delays.IntN(2) == 0 {
			return 0
		}
		return time.Duration(delays.Int64N(most)) * time.Millisecond
	}
	collector, store, stop := collecting(t, c, Options{pageSize: 1 + rnd.Int64N(4)})
	defer stop()
	g := &game{Rand: rnd, cluster: c, collector: collector, store: store, targets: map[string]Target{}}
	for range 20 {
		g.change()
	}
	for step := range steps {
		g.step()
		if rnd.IntN(3) == 0 {
			time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
		}
		if step%40 == 39 {
			g.check(t)
		}
	}
}

func (g *game) namespace() string { return fmt.Sprintf("ns-%d", g.IntN(4)) }
func (g *game) name() string      { return fmt.Sprintf("w-%d", g.IntN(6)) }

func (g *game) labels() map[string]string {
	set := map[string]string{}
	for _, key := range []string{"a", "b"} {
		if n := g.IntN(3); n > 0 {
			set[key] = fmt.Sprint(n)
		}
	}
	return set
}

func (g *game) selector() labels.Selector {
	selectors := []string{"", "a=1", "a in (1,2)", "b", "!b", "a!=1", "a=1,b"}
	s, err := labels.Parse(selectors[g.IntN(len(selectors))])
	if err != nil {
		panic(err)
	}
	return s
}

// change changes an object or a namespace.
func (g *game) change() {
	values := []string{"x", "y", "z", "bad", "hidden"}
	switch n := g.IntN(10); {
	case n < 6:
		g.cluster.put(widgets, g.namespace(), g.name(), g.labels(), values[g.IntN(len(values))])
	case n < 8:
		g.cluster.remove(widgets, g.namespace(), g.name())
	case n < 9:
		g.cluster.put(namespaceResource, "", g.namespace(), g.labels(), "")
	default:
		g.cluster.remove(namespaceResource, "", g.namespace())
	}
}

func (g *game) step() {
	switch n := g.IntN(20); {
	case n < 11:
		g.change()
	case n < 15:
		g.setTarget()
	case n < 16:
		name := fmt.Sprint(g.IntN(5))
		delete(g.targets, name)
		g.collector.RemoveTarget(inventory.TargetRef{Namespace: "tenant", Name: name})
	case n < 17:
		g.cluster.hold(g.IntN(2) == 0)
		if g.IntN(2) == 0 {
			g.cluster.expireNext()
		}
	case n < 18:
		g.cluster.cut(g.IntN(2) == 0)
	case n < 19:
		calls := rand.New(rand.NewPCG(g.Uint64(), 1))
		g.cluster.failing(func(verb string, gvr schema.GroupVersionResource, options metav1.ListOptions) error {
			if calls.IntN(2) == 0 {
				return errors.New("as told")
			}
			return nil
		})
	default:
		g.cluster.failing(nil)
	}
}

// setTarget adds or changes a target.
func (g *game) setTarget() {
	name := fmt.Sprint(g.IntN(5))
	target, exists := g.targets[name]
	if !exists || g.IntN(2) == 0 {
		target = widgetTarget(name)
		g.revision++
		target.Revision = fmt.Sprint(g.revision)
		target.Extract = valueOf(target.Revision)
		target.Labels = g.selector()
		if g.IntN(3) == 0 {
			target.Names = []string{g.name(), g.name()}
		}
		if g.IntN(3) == 0 {
			target.Match = not("hidden")
		}
	}
	target.Suspend = g.IntN(12) == 0
	target.Namespaces = NamespaceScope{All: g.IntN(3) == 0}
	if g.IntN(2) == 0 {
		target.Namespaces.Names = []string{g.namespace()}
	}
	if g.IntN(2) == 0 {
		target.Namespaces.Selector = g.selector()
	}
	if g.IntN(3) == 0 {
		target.Namespaces.Exclude = []string{g.namespace()}
	}
	target.Permitted = nil
	if g.IntN(2) == 0 {
		permitted := newSet([]string{g.namespace(), g.namespace()})
		target.Permitted = permitted.has
	}
	g.targets[name] = target
	g.collector.SetTarget(target)
}

// check lets everything work and compares.
func (g *game) check(t *testing.T) {
	t.Helper()
	g.cluster.failing(nil)
	g.cluster.hold(false)
	settle()
	for _, name := range slices.Sorted(maps.Keys(g.targets)) {
		target := g.targets[name]
		if target.Suspend {
			continue
		}
		got := rows(t, g.store, target.Ref)
		if target.Match != nil {
			got = g.withoutUndecided(t, target, got)
		}
		if diff := cmp.Diff(g.cluster.expected(target), got); diff != "" {
			t.Fatalf("rows of %s, names %v, labels %v, namespaces %+v (existing: %v) (-want +got):\n%s", name, target.Names, target.Labels, target.Namespaces, slices.Sorted(maps.Keys(g.cluster.objects[namespaceResource])), diff)
		}
		if state := stateOf(g.store, target.Ref); !state.Synced || state.Stale {
			t.Fatalf("state of %s: %+v, want synced and not stale", name, state)
		}
		g.checkFailures(t, target)
	}
	g.checkIndex(t)
}

// withoutUndecided leaves out the rows of objects of which the match fails: they
// may have one, from when it did not, of the same object and revision.
func (g *game) withoutUndecided(t *testing.T, target Target, rows []string) []string {
	t.Helper()
	matchless := target
	matchless.Match = nil
	undecided := map[string]bool{}
	for _, row := range g.cluster.expected(matchless) {
		if object, bad := strings.CutSuffix(row, "={}"); bad {
			undecided[object] = true
		}
	}
	return slices.DeleteFunc(rows, func(row string) bool {
		object, attributes, _ := strings.Cut(row, "=")
		if undecided[object] && !strings.Contains(attributes, fmt.Sprintf(`"rev":%q`, target.Revision)) {
			t.Errorf("the row %s is not of revision %s", row, target.Revision)
		}
		return undecided[object]
	})
}

// checkFailures compares the count of failing objects.
func (g *game) checkFailures(t *testing.T, target Target) {
	t.Helper()
	matchless := target
	matchless.Match = nil
	bad := 0
	for _, row := range g.cluster.expected(matchless) {
		if strings.HasSuffix(row, "={}") {
			bad++
		}
	}
	got := 0
	for _, f := range g.collector.Failures(target.Ref) {
		got += f.Objects
	}
	if got != bad {
		t.Fatalf("failing objects of %s: got %d, want %d", target.Ref, got, bad)
	}
}

// checkIndex checks that the index keeps nothing that is not needed.
func (g *game) checkIndex(t *testing.T) {
	t.Helper()
	g.collector.mu.Lock()
	defer g.collector.mu.Unlock()
	for _, r := range g.collector.resources {
		r.mu.RLock()
		defer r.mu.RUnlock()
		if r.seen != nil || len(r.requests) > 0 {
			t.Fatalf("left over: %d versions, %d requests", len(r.seen), len(r.requests))
		}
		for namespace, p := range r.index {
			if len(p.records) == 0 {
				t.Fatalf("empty partition %s", namespace)
			}
			for name, rec := range p.records {
				for _, e := range rec.entries {
					m := e.spec.member
					if m.gone.Load() || e.spec != m.spec && !m.frozen || !r.holds(m) {
						t.Fatalf("%s/%s has an entry of a target that is gone or changed", namespace, name)
					}
				}
				if first := rec.first(); len(rec.entries) == 0 || first != nil && first.Name() != name {
					t.Fatalf("record of %s/%s is wrong", namespace, name)
				}
			}
		}
	}
}

func (r *resource) holds(m *member) bool {
	_, ok := r.members[m]
	return ok
}
