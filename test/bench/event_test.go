package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

const (
	fewRows     = 10_000
	manyTargets = 10_000
	rounds      = 20
	roundEvents = 5_000
)

// BenchmarkEvent measures, in this process and without a cluster, what one
// changed object costs from its decoded event to the new snapshot: routing,
// extraction of five attributes, the store, the content hash. Events come one
// at a time, the next when the snapshot of the last is there; the cost is that
// of the median event, so that pauses of a shared machine do not count. The
// compared stores take turns of 5,000 events, so that all meet the same
// neighbours. Garbage is collected between the turns: it is that of all stores and
// of the benchmark itself, and would be collected most of the time at a rate of
// events that no cluster has. What an event adds to it is what it allocates, which
// BenchmarkUpdateRow of pkg/inventory shows.
//
// x-1m-to-10k is the cost at 1,000,000 rows (BENCH_EVENT_ROWS) divided by that
// at 10,000. x-10k-targets is the cost at 10,000 rows beside 10,000 targets of
// the same resource that select other namespaces, divided by that without them.
func BenchmarkEvent(b *testing.B) {
	rows := 1_000_000
	if set := os.Getenv("BENCH_EVENT_ROWS"); set != "" {
		var err error
		if rows, err = strconv.Atoi(set); err != nil || rows < fewRows {
			b.Fatalf("BENCH_EVENT_ROWS is %q; give a number from %d on", set, fewRows)
		}
	}
	few, beside, many := collecting(b, fewRows, 0), collecting(b, fewRows, manyTargets), collecting(b, rows, 0)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for b.Loop() {
		for range rounds {
			runtime.GC()
			few.change(b)
			beside.change(b)
			many.change(b)
		}
	}
	cost := float64(median(few.took))
	b.ReportMetric(float64(median(many.took))/cost, "x-1m-to-10k")
	b.ReportMetric(float64(median(beside.took))/cost, "x-10k-targets")
	b.ReportMetric(float64(median(many.took)), "ns/event")
	b.ReportMetric(0, "ns/op")
}

// collected is a store that a collector keeps, and what its events took.
type collected struct {
	source *syntheticSource
	store  *inventory.Store
	took   []time.Duration
}

// collecting returns a store with so many rows in an inventory, and so many
// targets beside its own. It is kept until the benchmark ends.
func collecting(b *testing.B, rows, others int) *collected {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	source := &syntheticSource{rows: rows, events: make(chan watch.Event)}
	store := inventory.NewStore(inventory.Options{HistoryEvents: 1000})
	collector := collect.New(store, source, collect.Options{})
	ref := inventory.TargetRef{Name: benchName}
	store.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: inventory.Ref{Name: benchName}, Cluster: benchName, Targets: []inventory.TargetRef{ref}})
	})
	profile, problems := extract.Compile(benchAttributes())
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	target := collect.Target{
		Ref: ref, Resource: &inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}, Namespaced: true,
		Extract: profile, Namespaces: collect.NamespaceScope{All: true},
	}
	collector.SetTarget(target)
	for i := range others {
		target.Ref.Name = fmt.Sprintf("other-%d", i)
		target.Namespaces = collect.NamespaceScope{Names: []string{target.Ref.Name}}
		collector.SetTarget(target)
	}
	ended := make(chan error, 1)
	go func() { ended <- collector.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	awaitRows(b, store, rows)
	return &collected{source: source, store: store}
}

func awaitRows(b *testing.B, store *inventory.Store, rows int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	for state := store.State(); ; {
		if s := state.Snapshot(inventory.Ref{Name: benchName}); s.Len() == rows && s.Head().Synced() {
			return
		}
		var err error
		if state, err = store.Wait(ctx, state.Version+1); err != nil {
			b.Fatalf("wait for %d rows: %v", rows, err)
		}
	}
}

func benchAttributes() []kollectv1alpha1.Attribute {
	var attributes []kollectv1alpha1.Attribute
	for _, name := range []string{"image", "loglevel", "owner", "region", "replicas"} {
		attributes = append(attributes, kollectv1alpha1.Attribute{Name: name, CEL: "object.data." + name})
	}
	return attributes
}

// syntheticSource is an API server of ConfigMaps, as far as a collector asks.
type syntheticSource struct {
	dynamic.NamespaceableResourceInterface // not asked for anything else
	rows                                   int
	events                                 chan watch.Event
}

var _ dynamic.Interface = &syntheticSource{}

func (s *syntheticSource) Resource(resource schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	if resource.Resource == "namespaces" {
		return &syntheticSource{}
	}
	return s
}

func (s *syntheticSource) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return nil, errors.New("lists are not served; watch")
}

// Watch sends all objects, the bookmark that ends them, and then what comes.
func (s *syntheticSource) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	out := make(chan watch.Event, 100)
	proxy := watch.NewProxyWatcher(out)
	go func() {
		send := func(event watch.Event) bool {
			select {
			case out <- event:
				return true
			case <-ctx.Done():
			case <-proxy.StopChan():
			}
			return false
		}
		defer close(out)
		for i := range s.rows {
			if !send(watch.Event{Type: watch.Added, Object: s.object(i, 0)}) {
				return
			}
		}
		bookmark := &unstructured.Unstructured{Object: map[string]any{}}
		bookmark.SetResourceVersion(strconv.Itoa(s.rows + 1))
		bookmark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		if !send(watch.Event{Type: watch.Bookmark, Object: bookmark}) {
			return
		}
		for {
			select {
			case event := <-s.events:
				if !send(event) {
					return
				}
			case <-ctx.Done():
				return
			case <-proxy.StopChan():
				return
			}
		}
	}()
	return proxy, nil
}

// object is the i-th ConfigMap after a number of changes.
func (s *syntheticSource) object(i, changed int) *unstructured.Unstructured {
	cm := configMap(i)
	cm.TypeMeta = metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "ConfigMap"}
	cm.ResourceVersion = strconv.Itoa(i + 1)
	if changed > 0 {
		cm.ResourceVersion = strconv.Itoa(s.rows + 1 + changed)
		cm.Data["owner"] = fmt.Sprintf("changed-%d", changed)
	}
	object, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(cm)
	if err != nil {
		panic(err) // a ConfigMap always converts
	}
	return &unstructured.Unstructured{Object: object}
}

// change sends a round of events, spread over all rows, one by one.
func (c *collected) change(b *testing.B) {
	b.Helper()
	for range roundEvents {
		n := len(c.took) + 1
		event := watch.Event{Type: watch.Modified, Object: c.source.object(n*7919%c.source.rows, n)}
		cursor, err := c.store.Follow(c.store.State().Version)
		must(b, err)
		began := time.Now()
		c.source.events <- event
		<-cursor.Ready()
		c.took = append(c.took, time.Since(began))
	}
}

// median sorts the times.
func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
