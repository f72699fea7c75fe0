package inventory

import (
	"context"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/consistencydetector"

	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/generated/informers/externalversions"
	"kollect.io/kollect/pkg/inventory"
)

// Informers of two callers have what each may see, while rows churn and rights
// change. The detector panics if a list and a watch differ.
func TestInformersOfAccessibleRows(t *testing.T) {
	t.Cleanup(consistencydetector.SetDataConsistencyDetectionForWatchListEnabledForTest(true))
	s, r := inventory.NewStore(inventory.Options{Epoch: 3}), &rights{}
	for _, ref := range crowd {
		addSources(s, ref, 40)
	}
	right := func(namespace string) inventory.Partition {
		return inventory.Partition{Group: "apps", Resource: "deployments", Namespace: namespace}
	}
	r.set("alice", right("a"), true)
	r.set("bob", right(""), true)
	config := serveWith(t, s, r)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	informers := map[string]cache.SharedIndexInformer{}
	for _, user := range []string{"alice", "bob"} {
		config := *config
		config.BearerToken = user
		factory := externalversions.NewSharedInformerFactory(versioned.NewForConfigOrDie(&config), 0)
		informers[user] = factory.Inventory().V1alpha1().AccessibleRows().Informer()
		factory.Start(ctx.Done())
		defer factory.Shutdown()
		if !cache.WaitForCacheSync(ctx.Done(), informers[user].HasSynced) {
			t.Fatal("not synced")
		}
	}
	defer cancel() // before the factories shut down
	for round, change := range []func(){
		func() {},
		func() {
			r.set("alice", right("b"), true)
			r.set("bob", right(""), false)
			r.set("bob", right("c"), true)
		},
		func() { r.set("alice", right("a"), false) },
	} {
		var writer sync.WaitGroup
		writer.Go(func() {
			random := rand.New(rand.NewPCG(uint64(round), 5))
			for range 500 {
				row := sourceRow(crowd[random.IntN(len(crowd))], random.IntN(60), random.IntN(5))
				if random.IntN(3) == 0 {
					remove(s, row)
				} else {
					s.Update(func(tx *inventory.Tx) { tx.Put(row, "") })
				}
			}
		})
		change()
		writer.Wait()
		for user, informer := range informers {
			wantCached(t, ctx, user, informer, visible(s.State(), r, user, nil))
		}
	}
}

func wantCached(t *testing.T, ctx context.Context, user string, informer cache.SharedIndexInformer, rows []string) {
	t.Helper()
	want := map[string]string{}
	for _, row := range rows {
		key, rest, _ := strings.Cut(row, "@")
		want[key], _, _ = strings.Cut(rest, " ")
	}
	var cached map[string]string
	if err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 40*time.Second, true, func(context.Context) (bool, error) {
		cached = map[string]string{}
		for _, o := range informer.GetStore().List() {
			m, err := meta.Accessor(o)
			if err != nil {
				return false, err
			}
			cached[objectKey(m.GetNamespace(), m.GetName())] = m.GetResourceVersion()
		}
		return maps.Equal(want, cached), nil
	}); err != nil {
		t.Errorf("%s: %v: (-want +got)\n%s", user, err, cmp.Diff(want, cached))
	}
}
