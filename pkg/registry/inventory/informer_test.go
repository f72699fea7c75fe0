package inventory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/consistencydetector"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/generated/informers/externalversions"
	"kollect.io/kollect/pkg/inventory"
)

// TestInformers keeps informers of several kinds while rows change, and compares
// their caches with the store. The detectors panic if a list and a watch
// differ.
func TestInformers(t *testing.T) {
	t.Cleanup(consistencydetector.SetDataConsistencyDetectionForWatchListEnabledForTest(true))
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 500)
	addInventory(s, platform, 50)
	config := serve(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writer sync.WaitGroup
	writer.Go(func() {
		random := rand.New(rand.NewPCG(5, 5))
		for range 2000 {
			ref := []inventory.Ref{apps, platform}[random.IntN(2)]
			if row := newRow(ref, random.IntN(600), fmt.Sprint(random.IntN(5))); random.IntN(3) == 0 {
				remove(s, row)
			} else {
				change(s, row)
			}
		}
	})
	typed := versioned.NewForConfigOrDie(config)
	all := externalversions.NewSharedInformerFactory(typed, 0)
	selected := externalversions.NewSharedInformerFactoryWithOptions(typed, 0, externalversions.WithNamespace("team-a"),
		externalversions.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "n=1" }))
	partial := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(config), 0)
	gvr := inventoryv1alpha1.SchemeGroupVersion.WithResource("inventoryrows")
	group := all.Inventory().V1alpha1()
	informers := map[string]cache.SharedIndexInformer{
		"rows": group.InventoryRows().Informer(), "cluster rows": group.ClusterInventoryRows().Informer(), "inventories": group.Inventories().Informer(),
		"selected rows": selected.Inventory().V1alpha1().InventoryRows().Informer(), "metadata": partial.ForResource(gvr).Informer(),
	}
	all.Start(ctx.Done())
	selected.Start(ctx.Done())
	partial.Start(ctx.Done())
	for name, informer := range informers {
		if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			t.Fatalf("%s: not synced", name)
		}
	}
	writer.Wait()
	state := s.State()
	row1 := &selection{label: labels.SelectorFromSet(labels.Set{"n": "1"})}
	ours := map[string]map[string]string{
		"rows": versions(rows{inventory.Namespaced}, state, &selection{}), "metadata": versions(rows{inventory.Namespaced}, state, &selection{}),
		"cluster rows": versions(rows{inventory.Cluster}, state, &selection{}), "inventories": versions(heads{inventory.Namespaced}, state, &selection{}),
		"selected rows": versions(rows{inventory.Namespaced}, state, row1),
	}
	for name, informer := range informers {
		var diff string
		if err := wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
			cached := map[string]string{}
			for _, o := range informer.GetStore().List() {
				m, err := meta.Accessor(o)
				if err != nil {
					return false, err
				}
				cached[objectKey(m.GetNamespace(), m.GetName())] = m.GetResourceVersion()
			}
			if maps.Equal(ours[name], cached) {
				return true, nil
			}
			diff = cmp.Diff(ours[name], cached)
			return false, nil
		}); err != nil {
			t.Errorf("%s: %v: (-want +got)\n%s", name, err, diff)
		}
	}
	cancel()
	all.Shutdown()
	selected.Shutdown()
	partial.Shutdown()
}

func versions[T object](k kind[T], state *inventory.State, selected *selection) map[string]string {
	objects := map[string]string{}
	for o := range filter(k.scan(state, k.place(selected), ""), k.matcher(selected)) {
		objects[o.key()] = o.meta().ResourceVersion
	}
	return objects
}
