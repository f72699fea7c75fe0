package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/test/controlplane"
)

// objects is how many objects are seeded: BENCH_OBJECTS, or 100,000.
func objects(b *testing.B) int {
	n, err := strconv.Atoi(os.Getenv("BENCH_OBJECTS"))
	switch {
	case os.Getenv("BENCH_OBJECTS") == "":
		return 100_000
	case err != nil || n < 1000:
		b.Fatalf("BENCH_OBJECTS is %q; give a number from 1000 on", os.Getenv("BENCH_OBJECTS"))
	}
	return n
}

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// environment is a control plane with seeded objects and a server beside it.
type environment struct {
	controlPlane *controlplane.ControlPlane
	server       *controlplane.Kollect
	objects      int
	twins        bool // whether kube-apiserver has the custom resources
}

var shared struct {
	once sync.Once
	env  *environment
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.env != nil {
		if err := shared.env.controlPlane.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// start returns the environment that all benchmarks share.
func start(b *testing.B) *environment {
	b.Helper()
	shared.once.Do(func() { shared.env, shared.err = startEnvironment(b.Context(), objects(b)) })
	if shared.err != nil {
		b.Fatal(shared.err)
	}
	return shared.env
}

func startEnvironment(ctx context.Context, n int) (*environment, error) {
	log := os.Stderr
	// By a profile kube-apiserver is made to collect its garbage.
	cp, err := controlplane.StartEtcd(ctx, controlplane.Options{Log: log, APIServerArgs: []string{"--profiling=true"}})
	if err != nil {
		return nil, err
	}
	env := &environment{controlPlane: cp, objects: n}
	fmt.Fprintf(log, "seed: writing %d ConfigMaps to etcd\n", n)
	if err := Seed(ctx, cp.EtcdEndpoint(), n, log); err != nil {
		return env, err
	}
	if err := cp.StartAPIServer(ctx); err != nil {
		return env, err
	}
	root, err := controlplane.Root()
	if err != nil {
		return env, err
	}
	if err := controlplane.ApplyCRDs(ctx, cp.Config(), filepath.Join(root, "artifacts", "crds")); err != nil {
		return env, err
	}
	binary, err := controlplane.KollectBinary(ctx, log, false)
	if err != nil {
		return env, err
	}
	if env.server, err = cp.StartKollect(ctx, controlplane.KollectOptions{Binary: binary}); err != nil {
		return env, err
	}
	return env, env.server.Register(ctx)
}

// source returns a client of kube-apiserver without a rate limit.
func (e *environment) source(b *testing.B) dynamic.Interface {
	b.Helper()
	return dynamic.NewForConfigOrDie(unlimited(e.controlPlane.Config()))
}

func (e *environment) clients(b *testing.B) versioned.Interface {
	b.Helper()
	return versioned.NewForConfigOrDie(unlimited(e.controlPlane.Config()))
}

func unlimited(config *rest.Config) *rest.Config {
	config.QPS = -1
	return config
}

const benchName = "bench"

// collect has the server collect the seeded objects and returns how long it
// took until all of them were served.
func (e *environment) collect(b *testing.B) time.Duration {
	b.Helper()
	return e.collectAttributes(b, benchAttributes())
}

func (e *environment) collectAttributes(b *testing.B, attributes []kollectv1alpha1.Attribute) time.Duration {
	b.Helper()
	ctx := b.Context()
	clients := e.clients(b)
	profile := &kollectv1alpha1.KollectClusterProfile{ObjectMeta: metav1.ObjectMeta{Name: benchName}}
	profile.Spec.Resource.Kind = "ConfigMap"
	profile.Spec.Attributes = attributes
	target := &kollectv1alpha1.KollectClusterTarget{ObjectMeta: metav1.ObjectMeta{Name: benchName}}
	target.Spec.ProfileRef.Name = benchName
	target.Spec.Namespaces = &kollectv1alpha1.NamespaceSelection{Exclude: []string{"kube-system", "kube-public", "default"}}
	inventory := &kollectv1alpha1.KollectClusterInventory{ObjectMeta: metav1.ObjectMeta{Name: benchName}}

	kollect := clients.KollectV1alpha1()
	must(b, create(ctx, kollect.KollectClusterProfiles().Create, profile))
	must(b, create(ctx, kollect.KollectClusterInventories().Create, inventory))
	began := time.Now()
	must(b, create(ctx, kollect.KollectClusterTargets().Create, target))
	e.await(b, func(head *inventoryv1alpha1.ClusterInventory) bool {
		return head.Status.Rows >= int64(e.objects) && len(head.Status.Targets) == 1 && head.Status.Targets[0].Synced
	})
	return time.Since(began)
}

// release has the server forget the objects again.
func (e *environment) release(b *testing.B) {
	b.Helper()
	ctx := context.WithoutCancel(b.Context())
	kollect := e.clients(b).KollectV1alpha1()
	must(b, kollect.KollectClusterTargets().Delete(ctx, benchName, metav1.DeleteOptions{}))
	e.await(b, func(head *inventoryv1alpha1.ClusterInventory) bool { return head.Status.Rows == 0 })
	must(b, kollect.KollectClusterInventories().Delete(ctx, benchName, metav1.DeleteOptions{}))
	must(b, kollect.KollectClusterProfiles().Delete(ctx, benchName, metav1.DeleteOptions{}))
}

// await asks the server directly until its head is as wanted.
func (e *environment) await(b *testing.B, done func(*inventoryv1alpha1.ClusterInventory) bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.Context()), 10*time.Minute)
	defer cancel()
	heads := versioned.NewForConfigOrDie(unlimited(e.server.Config())).InventoryV1alpha1().ClusterInventories()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		head, err := heads.Get(ctx, benchName, metav1.GetOptions{})
		if err == nil && done(head) {
			return
		}
		select {
		case <-ctx.Done():
			b.Fatalf("the inventory did not come so far: %v, %+v", err, head)
		case <-tick.C:
		}
	}
}

func create[T any](ctx context.Context, call func(context.Context, *T, metav1.CreateOptions) (*T, error), obj *T) error {
	_, err := call(ctx, obj, metav1.CreateOptions{})
	return err
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
