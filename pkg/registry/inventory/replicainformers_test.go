package inventory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	"k8s.io/klog/v2"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/pkg/generated/informers/externalversions"
	"kollect.io/kollect/pkg/inventory"
)

// detectors are client-go's own: a process has them if it begins with them. Both
// panic.
var detectors = []string{"KUBE_WATCHLIST_INCONSISTENCY_DETECTOR", "KUBE_CACHE_MUTATION_DETECTOR"}

// TestInformersOverReplicas keeps informers of two replicas behind one address,
// which die, begin and lag while rows change. After each outage each informer has
// what its replica has. It runs in a process with the detectors.
func TestInformersOverReplicas(t *testing.T) {
	if slices.ContainsFunc(detectors, func(name string) bool { return os.Getenv(name) != "true" }) {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInformersOverReplicas$", "-test.count=1", "-test.parallel=8", "-test.v")
		again.Env = os.Environ()
		for _, name := range detectors {
			again.Env = append(again.Env, name+"=true")
		}
		if out, err := again.CombinedOutput(); err != nil {
			t.Fatalf("%v:\n%s", err, out[max(0, len(out)-20_000):])
		}
		return
	}
	klog.SetLogger(klog.Logger{}) // clients that lose their servers have much to say
	random := slices.Clone(outages)
	rand.Shuffle(len(random), func(i, j int) { random[i], random[j] = random[j], random[i] })
	runs := []*run{newRun(t, random[:2]), newRun(t, random[2:])}
	ctx, cancel := context.WithCancel(t.Context())
	for _, watchList := range []bool{true, false} {
		clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.WatchListClient, watchList)
		for _, r := range runs {
			maps.Copy(r.informers, startInformers(t, ctx, r.config, fmt.Sprintf(" with WatchList %t", watchList)))
		}
	}
	t.Cleanup(cancel) // before what the informers need ends
	for _, r := range runs {
		t.Run(r.outages[0].name+", "+r.outages[1].name, func(t *testing.T) {
			t.Parallel()
			r.run(t)
		})
	}
}

// run is a service that has outages, and its clients.
type run struct {
	*service
	config    *rest.Config
	outages   []outage
	informers map[string]judged
	random    *rand.Rand
}

func newRun(t *testing.T, outages []outage) *run {
	r := &run{outages: outages, informers: map[string]judged{}, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	r.service, r.config = newService(t, newWorld())
	r.start()
	r.start()
	return r
}

func (r *run) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { readPages(t, ctx, r.config, r.service, stop) })
	defer func() {
		if t.Failed() {
			cancel() // a list may wait for ever
		}
		close(stop)
		reader.Wait()
		cancel()
	}()
	for _, outage := range r.outages {
		began := time.Now()
		r.churn(50)
		outage.begin(r, t)
		r.settle(t, nil)
		t.Logf("%s: all agree again after %v", outage.name, time.Since(began))
	}
}

// outage is something that takes clients from their replicas.
type outage struct {
	name  string
	begin func(*run, *testing.T)
}

var outages = []outage{
	{"the older dies", func(r *run, t *testing.T) { r.die(t, r.replicas()[:1]) }},
	{"the newer dies", func(r *run, t *testing.T) { r.die(t, r.replicas()[1:]) }},
	{"both die", func(r *run, t *testing.T) { r.die(t, r.replicas()) }},
	{"all change places", (*run).changePlaces},
}

// die has others take the place of replicas. What changes meanwhile their clients
// see only if they list again. Half of them go to each replica that there is
// then.
func (r *run) die(t *testing.T, dead []*replica) {
	r.hold()
	clients := map[string]*replica{}
	ended := r.end(dead...)
	for _, d := range dead {
		r.kill(d)
	}
	r.churn(50)
	for range dead {
		r.start()
	}
	r.churn(50)
	r.await(t, nil)
	for _, names := range ended {
		for i, name := range names { // of two in turn, one resumes its watch
			clients[name] = r.replicas()[i/2%2]
		}
	}
	r.release(clients)
	r.churn(10)
}

// changePlaces has all clients go to the other replica, while one lags behind
// what the clients of the other have seen.
func (r *run) changePlaces(t *testing.T) {
	alive := r.replicas()
	lagging := alive[r.random.IntN(2)]
	lagging.lag.Lock()
	catchUp := sync.OnceFunc(lagging.lag.Unlock)
	defer catchUp()
	r.churn(50)
	r.hold()
	clients := map[string]*replica{}
	ended := r.end(alive...)
	r.churn(50)
	r.await(t, lagging)
	for i, from := range alive {
		for _, name := range ended[from] {
			clients[name] = alive[1-i]
		}
	}
	r.release(clients)
	r.settle(t, lagging)
	catchUp()
}

// churn changes the world, as fast as a thousand times a second.
func (r *run) churn(n int) {
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for range n {
		r.world.step(r.random)
		<-pace.C
	}
}

// judged is an informer, and what it should have of a state.
type judged struct {
	cache.SharedIndexInformer
	want func(*inventory.State) map[string]string
}

// startInformers returns informers that have synced.
func startInformers(t *testing.T, ctx context.Context, config *rest.Config, suffix string) map[string]judged {
	as := func(agent string) *rest.Config {
		named := rest.CopyConfig(config)
		named.UserAgent = agent + suffix
		return named
	}
	typed := externalversions.NewSharedInformerFactory(versioned.NewForConfigOrDie(as("typed")), 0)
	partial := metadatainformer.NewSharedInformerFactory(metadata.NewForConfigOrDie(as("metadata")), 0)
	untyped := dynamicinformer.NewDynamicSharedInformerFactory(dynamic.NewForConfigOrDie(as("dynamic")), 0)
	gvr := inventoryv1alpha1.SchemeGroupVersion.WithResource("inventoryrows")
	rowsKind, clusterRows := rows{inventory.Namespaced}, contents(rows{inventory.Cluster}, false)
	rows := contents(rowsKind, false)
	group := typed.Inventory().V1alpha1()
	informers := map[string]judged{
		clientName("typed"+suffix, "inventoryrows"):        {group.InventoryRows().Informer(), rows},
		clientName("typed"+suffix, "clusterinventoryrows"): {group.ClusterInventoryRows().Informer(), clusterRows},
		clientName("typed"+suffix, "inventories"):          {group.Inventories().Informer(), contents(heads{inventory.Namespaced}, false)},
		clientName("metadata"+suffix, "inventoryrows"):     {partial.ForResource(gvr).Informer(), contents(rowsKind, true)},
		clientName("dynamic"+suffix, "inventoryrows"):      {untyped.ForResource(gvr).Informer(), rows},
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

// poll waits until a condition holds, and reports whether it does.
func poll(t *testing.T, done func() bool) bool {
	return wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 2*time.Minute, true, func(context.Context) (bool, error) { return done(), nil }) == nil
}

// await waits until the replicas have all changes, but for one that lags.
func (r *run) await(t *testing.T, lagging *replica) {
	t.Helper()
	all, _ := r.world.next(0)
	for _, alive := range r.replicas() {
		if alive != lagging && !poll(t, func() bool { return alive.fed.Load() == int64(len(all)) }) {
			t.Fatalf("replica %d has %d of %d changes", alive.epoch, alive.fed.Load(), len(all))
		}
	}
}

// settle waits until each informer has what its replica has, and has it from
// there. All replicas have the same, but for one that lags.
func (r *run) settle(t *testing.T, lagging *replica) {
	t.Helper()
	r.await(t, lagging)
	for name, informer := range r.informers {
		at := r.of(name)
		want := informer.want(at.store.State())
		for _, other := range r.replicas() {
			if diff := cmp.Diff(want, informer.want(other.store.State())); lagging == nil && diff != "" {
				t.Fatalf("%s: the replicas differ:\n%s", name, diff)
			}
		}
		var got map[string]string
		var from uint32
		if !poll(t, func() bool {
			got = map[string]string{}
			for _, o := range informer.GetStore().List() {
				m := o.(metav1.Object)
				got[objectKey(m.GetNamespace(), m.GetName())] = content(o.(runtime.Object))
			}
			version, err := strconv.ParseUint(informer.LastSyncResourceVersion(), 10, 64)
			from = epochOf(version)
			return err == nil && from == at.epoch && maps.Equal(want, got)
		}) {
			t.Fatalf("%s: has a version of replica %d and should have one of %d, with (-want +got)\n%.2000s", name, from, at.epoch, cmp.Diff(want, got))
		}
	}
}
