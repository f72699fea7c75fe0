package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	clientfeatures "k8s.io/client-go/features"
	clientfeaturestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/generated/informers/externalversions"
	"kollect.io/kollect/pkg/inventory"
)

// detectors are client-go's own: a process has them if it begins with them. Both
// panic.
var detectors = []string{"KUBE_WATCHLIST_INCONSISTENCY_DETECTOR", "KUBE_CACHE_MUTATION_DETECTOR"}

// TestInformersOverReplicas keeps informers of two replicas behind one address,
// which are killed and started while rows change. Whenever that ends, each
// informer has what the replicas have. It runs in a process with the detectors.
func TestInformersOverReplicas(t *testing.T) {
	if slices.ContainsFunc(detectors, func(name string) bool { return os.Getenv(name) != "true" }) {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInformersOverReplicas$", "-test.count=1", "-test.v")
		again.Env = os.Environ()
		for _, name := range detectors {
			again.Env = append(again.Env, name+"=true")
		}
		if out, err := again.CombinedOutput(); err != nil {
			t.Fatalf("%v:\n%s", err, out[max(0, len(out)-20_000):])
		}
		return
	}
	w := newWorld()
	service, config := newService(t, w)
	service.start()
	service.start()
	ctx, cancel := context.WithCancel(t.Context())
	informers := map[string]judged{}
	for _, watchList := range []bool{true, false} {
		clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
		for name, informer := range startInformers(t, ctx, config) {
			informers[fmt.Sprintf("%s, WatchList: %t", name, watchList)] = informer
		}
	}
	t.Cleanup(cancel)
	random := rand.New(rand.NewPCG(3, 9))
	for round := range 2 {
		for range 3 {
			churn(w, random, 200)
			service.kill(random.IntN(2))
			churn(w, random, 100)
			service.start()
		}
		settle(t, ctx, service, informers)
		t.Logf("round %d: all informers agree after %d changes by %d replicas", round, len(w.changes), service.epochs.Load())
	}
}

// churn changes the world, as fast as a thousand times a second.
func churn(w *world, random *rand.Rand, n int) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for range n {
		w.step(random)
		<-pace.C
	}
}

// judged is an informer, and what it should have of a state.
type judged struct {
	cache.SharedIndexInformer
	want func(*inventory.State) map[string]string
}

// startInformers returns informers that have synced.
func startInformers(t *testing.T, ctx context.Context, config *rest.Config) map[string]judged {
	typed := externalversions.NewSharedInformerFactory(versioned.NewForConfigOrDie(config), 0)
	partial := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(config), 0)
	untyped := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(config), 0)
	gvr := inventoryv1alpha1.SchemeGroupVersion.WithResource("inventoryrows")
	rows, clusterRows := contents(rows{inventory.Namespaced}, false), contents(rows{inventory.Cluster}, false)
	group := typed.Inventory().V1alpha1()
	informers := map[string]judged{
		"rows":         {group.InventoryRows().Informer(), rows},
		"cluster rows": {group.ClusterInventoryRows().Informer(), clusterRows},
		"inventories":  {group.Inventories().Informer(), contents(heads{inventory.Namespaced}, false)},
		"metadata":     {partial.ForResource(gvr).Informer(), metadataOf},
		"dynamic":      {untyped.ForResource(gvr).Informer(), rows},
	}
	typed.Start(ctx.Done())
	partial.Start(ctx.Done())
	untyped.Start(ctx.Done())
	t.Cleanup(func() {
		typed.Shutdown()
		partial.Shutdown()
		untyped.Shutdown()
	})
	for name, informer := range informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			t.Fatalf("%s: not synced", name)
		}
	}
	return informers
}

func metadataOf(state *inventory.State) map[string]string {
	return contents(rows{inventory.Namespaced}, true)(state)
}

// contents returns a function that returns what is in a state.
func contents[T object](k kind[T], metadata bool) func(*inventory.State) map[string]string {
	return func(state *inventory.State) map[string]string {
		objects := map[string]string{}
		for o := range k.scan(state, place{}, "") {
			typed := o.typed()
			if metadata {
				typed = &metav1.PartialObjectMetadata{ObjectMeta: o.meta()}
			}
			objects[o.key()] = content(typed)
		}
		return objects
	}
}

// content returns what replicas agree on.
func content(o runtime.Object) string {
	m, err := meta.Accessor(o)
	if err != nil {
		panic(err)
	}
	parts := []any{m.GetUID(), m.GetLabels()}
	switch o := o.(type) {
	case *inventoryv1alpha1.InventoryRow:
		parts = append(parts, o.Attributes)
	case *inventoryv1alpha1.ClusterInventoryRow:
		parts = append(parts, o.Attributes)
	case *unstructured.Unstructured:
		parts = append(parts, o.Object["attributes"])
	case *inventoryv1alpha1.Inventory:
		parts = append(parts, o.Status.ContentHash, o.Status.Rows)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// settle waits until the replicas have all changes, and each informer has what
// they have.
func settle(t *testing.T, ctx context.Context, s *service, informers map[string]judged) {
	t.Helper()
	all, _ := s.world.next(0)
	poll := func(done func() bool) bool {
		return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) { return done(), nil }) == nil
	}
	for _, r := range s.replicas() {
		if !poll(func() bool { return r.fed.Load() == int64(len(all)) }) {
			t.Fatalf("replica %d has %d of %d changes", r.epoch, r.fed.Load(), len(all))
		}
	}
	for name, informer := range informers {
		want := informer.want(s.replicas()[0].store.State())
		if other := informer.want(s.replicas()[1].store.State()); !maps.Equal(want, other) || len(want) == 0 {
			t.Fatalf("%s: the replicas differ:\n%s", name, cmp.Diff(want, other))
		}
		var got map[string]string
		if !poll(func() bool {
			got = map[string]string{}
			for _, o := range informer.GetStore().List() {
				m := o.(metav1.Object)
				got[objectKey(m.GetNamespace(), m.GetName())] = content(o.(runtime.Object))
			}
			return maps.Equal(want, got)
		}) {
			t.Fatalf("%s: (-want +got)\n%s", name, cmp.Diff(want, got))
		}
	}
}
