package controller

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/fake"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	kollectfake "kollect.io/kollect/pkg/generated/clientset/versioned/fake"
	"kollect.io/kollect/pkg/inventory"
)

// fakeCollector remembers what it was told.
type fakeCollector struct {
	mu       sync.Mutex // guards what follows
	targets  map[inventory.TargetRef]collect.Target
	sets     int
	failures map[inventory.TargetRef][]collect.Failure
}

func (f *fakeCollector) SetTarget(t collect.Target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.targets[t.Ref] = t
	f.sets++
}

func (f *fakeCollector) RemoveTarget(ref inventory.TargetRef) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.targets, ref)
}

func (f *fakeCollector) Failures(ref inventory.TargetRef) []collect.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures[ref]
}

// harness is a controller whose informers do not run: objects are put into what
// they have seen.
type harness struct {
	*testing.T
	*Controller
	core      *kubernetesfake.Clientset
	kollect   *kollectfake.Clientset
	collector *fakeCollector
	recorder  *record.FakeRecorder
}

func newHarness(t *testing.T, objects ...runtime.Object) *harness {
	t.Helper()
	var core, ours []runtime.Object
	for _, o := range objects {
		if _, is := o.(*corev1.Secret); is {
			core = append(core, o)
		} else {
			ours = append(ours, o)
		}
	}
	h := &harness{
		T:         t,
		core:      kubernetesfake.NewClientset(core...),
		kollect:   kollectfake.NewSimpleClientset(ours...),
		collector: &fakeCollector{targets: map[inventory.TargetRef]collect.Target{}, failures: map[inventory.TargetRef][]collect.Failure{}},
		recorder:  record.NewFakeRecorder(100),
	}
	refuseStaleUpdates(h.kollect)
	h.serve(&metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true}, {Name: "nodes", Kind: "Node"},
		{Name: "secrets", Kind: "Secret", Namespaced: true},
	}})
	h.Controller = newController(Config{
		Store: inventory.NewStore(inventory.Options{}), ClusterName: "test", LeaderElection: LeaderElection{Disabled: true},
	}, clients{h.core, h.kollect, metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme())})
	t.Cleanup(h.shutDown)
	h.Controller.collector, h.Controller.recorder = h.collector, h.recorder
	for _, o := range ours {
		h.see(o)
	}
	return h
}

// refuseStaleUpdates makes the fake refuse an update or a patch of another version
// than the one that it holds, as an API server does.
func refuseStaleUpdates(client *kollectfake.Clientset) {
	store := func(resource schema.GroupVersionResource, next, held runtime.Object) (bool, runtime.Object, error) {
		wanted, now := accessor(next), accessor(held)
		if wanted.GetResourceVersion() != now.GetResourceVersion() {
			return true, nil, apierrors.NewConflict(resource.GroupResource(), now.GetName(), errors.New("the object has been modified"))
		}
		wanted.SetResourceVersion(now.GetResourceVersion() + "1") // another one
		return true, next, client.Tracker().Update(resource, next, now.GetNamespace())
	}
	client.PrependReactor("update", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		next := action.(clienttesting.UpdateAction).GetObject().DeepCopyObject()
		held, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), accessor(next).GetName())
		if err != nil {
			return true, nil, err
		}
		return store(action.GetResource(), next, held)
	})
	client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchAction)
		held, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), patch.GetName())
		if err != nil {
			return true, nil, err
		}
		next := held.DeepCopyObject()
		if err := json.Unmarshal(patch.GetPatch(), next); err != nil {
			return true, nil, err
		}
		return store(action.GetResource(), next, held)
	})
}

func accessor(o runtime.Object) metav1.Object {
	a, err := meta.Accessor(o)
	if err != nil {
		panic(err)
	}
	return a
}

// serve adds to what discovery answers.
func (h *harness) serve(resources *metav1.APIResourceList) {
	d := h.core.Discovery().(*fake.FakeDiscovery)
	d.Resources = append(d.Resources, resources)
}

// forgetResources takes a group's version out of discovery.
func (h *harness) forgetResources(groupVersion string) {
	d := h.core.Discovery().(*fake.FakeDiscovery)
	d.Resources = slices.DeleteFunc(d.Resources, func(l *metav1.APIResourceList) bool { return l.GroupVersion == groupVersion })
}

// see makes the informers know an object.
func (h *harness) see(o runtime.Object) {
	h.Helper()
	accessor, err := meta.Accessor(o)
	if err != nil {
		h.Fatal(err)
	}
	var informer cache.SharedIndexInformer
	switch o.(type) {
	case *kollectv1alpha1.KollectProfile:
		informer = h.profileKind.namespaced
	case *kollectv1alpha1.KollectClusterProfile:
		informer = h.profileKind.cluster
	case *kollectv1alpha1.KollectTarget:
		informer = h.targetKind.namespaced
	case *kollectv1alpha1.KollectClusterTarget:
		informer = h.targetKind.cluster
	case *kollectv1alpha1.KollectInventory:
		informer = h.inventoryKind.namespaced
	case *kollectv1alpha1.KollectClusterInventory:
		informer = h.inventoryKind.cluster
	case *kollectv1alpha1.KollectSink:
		informer = h.sinkKind.namespaced
	case *kollectv1alpha1.KollectClusterSink:
		informer = h.sinkKind.cluster
	case *metav1.PartialObjectMetadata:
		informer = h.namespaces.informer
	default:
		h.Fatalf("no informer of %T", o)
	}
	if accessor.GetUID() == "" {
		accessor.SetUID(types.UID("uid-" + accessor.GetName()))
	}
	if err := informer.GetIndexer().Update(o); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) lose(informer cache.SharedIndexInformer, o runtime.Object) {
	h.Helper()
	if err := informer.GetIndexer().Delete(o); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) reconcile(reconcile func(context.Context, key) error, k key) {
	h.Helper()
	if err := reconcile(h.Context(), k); err != nil {
		h.Fatal(err)
	}
}

// want checks a condition whose message has all of the words.
func wantCondition(t *testing.T, conditions []metav1.Condition, name string, status metav1.ConditionStatus, reason string, words ...string) {
	t.Helper()
	c := meta.FindStatusCondition(conditions, name)
	if c == nil {
		t.Errorf("there is no condition %s among %v", name, conditions)
		return
	}
	lacks := func(w string) bool { return !strings.Contains(c.Message, w) }
	if c.Status != status || c.Reason != reason || slices.ContainsFunc(words, lacks) {
		t.Errorf("condition %s is %s, %s: %q; want %s, %s, with %q", name, c.Status, c.Reason, c.Message, status, reason, words)
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Generation: 1}
}

func namespaceOf(name string, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}
