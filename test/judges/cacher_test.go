package judges

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/feature"
	clocks "k8s.io/utils/clock"

	"kollect.io/kollect/pkg/inventory"
)

// etcd is a client of an etcd that has the features that consistent reads of the
// watch cache need.
type etcd struct{}

func (etcd) Endpoints() []string { return []string{"memory"} }
func (etcd) Status(context.Context, string) (*clientv3.StatusResponse, error) {
	return &clientv3.StatusResponse{Version: "3.6.0"}, nil
}

func podAttributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod := obj.(*example.Pod)
	return pod.Labels, fields.Set{"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "spec.nodeName": pod.Spec.NodeName}, nil
}

// newCacher returns the watch cache of kube-apiserver over a storage.
func newCacher(t *testing.T, below storage.Interface) storage.Interface {
	t.Helper()
	feature.DefaultFeatureSupportChecker.CheckClient(t.Context(), etcd{}, storage.RequestWatchProgress)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	for _, add := range []func(*runtime.Scheme) error{example.AddToScheme, examplev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: below, Versioner: storage.APIObjectVersioner{}, GroupResource: schema.GroupResource{Resource: "pods"},
		EventsHistoryWindow: cacher.DefaultEventFreshDuration, ResourcePrefix: resourcePrefix,
		KeyFunc:      func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc(resourcePrefix, obj) },
		GetAttrsFunc: podAttributes,
		NewFunc:      func() runtime.Object { return &example.Pod{} },
		NewListFunc:  func() runtime.Object { return &example.PodList{} },
		Codec:        serializer.NewCodecFactory(scheme).LegacyCodec(examplev1.SchemeGroupVersion),
		Clock:        clocks.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	delegator := cacher.NewCacheDelegator(c, below)
	t.Cleanup(delegator.Stop)
	return delegator
}

// both are the rows and the watch cache of kube-apiserver, which hold the same
// pods under the same versions.
type both struct {
	t      *testing.T
	random *rand.Rand
	ours   *podStorage
	memory *memory
	theirs storage.Interface
	pods   map[string]bool
}

// TestCacherAgrees asks the rows and the watch cache the same at random.
func TestCacherAgrees(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newMemory()
			b := &both{t: t, random: rand.New(rand.NewPCG(seed, 2)), ours: newPodStorage(t, inventory.Namespaced), memory: m, theirs: newCacher(t, m), pods: map[string]bool{}}
			var watches []*watchPair
			for range 20 {
				for range 4 {
					b.write()
				}
				watches = append(watches, b.watch())
				for range 25 {
					b.list()
				}
				if t.Failed() {
					return
				}
			}
			b.end(watches)
		})
	}
}

// write changes a pod.
func (b *both) write() {
	namespace, name := []string{"a", "a-b", "b"}[b.random.IntN(3)], []string{"x", "x-1", "x.y", "xy", "y"}[b.random.IntN(5)]
	key := resourcePrefix + namespace + "/" + name
	if b.pods[key] && b.random.IntN(3) == 0 {
		b.put(key, nil)
		return
	}
	b.put(key, &example.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Labels: map[string]string{"l": strconv.Itoa(b.random.IntN(2))},
			Annotations: map[string]string{"version": fmt.Sprint(b.memory.version())},
		},
		Spec: example.PodSpec{NodeName: []string{"", "n1", "n2"}[b.random.IntN(3)]},
	})
}

func (b *both) put(key string, pod *example.Pod) {
	ctx := context.Background()
	var err error
	if b.pods[key] = pod != nil; pod != nil {
		err = b.ours.GuaranteedUpdate(ctx, key, &example.Pod{}, true, nil,
			storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) { return pod, nil }), nil)
	} else {
		err = b.ours.Delete(ctx, key, &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.memory.put(key, pod)
}

// options returns a request, but for its version.
func (b *both) options() (key string, opts storage.ListOptions) {
	opts = storage.ListOptions{Recursive: true, Predicate: storage.SelectionPredicate{
		Label: labels.Everything(), GetAttrs: podAttributes,
		Field: fields.ParseSelectorOrDie([]string{
			"", "", "", "spec.nodeName=n1", "spec.nodeName!=n1", "metadata.name=x", "metadata.name!=x", "metadata.namespace=a", "metadata.name=x,spec.nodeName=n2",
		}[b.random.IntN(9)]),
	}}
	if b.random.IntN(3) == 0 {
		opts.Predicate.Label = labels.SelectorFromSet(labels.Set{"l": "1"})
	}
	return resourcePrefix + []string{"", "", "a", "b", "a-b", "none"}[b.random.IntN(6)], opts
}

// list compares all pages of a list. A page after the first is of the same state,
// unless what is between them is written.
func (b *both) list() {
	key, opts := b.options()
	newest := b.memory.version()
	opts.ResourceVersion = []string{"", "", "0", strconv.FormatUint(newest, 10), strconv.FormatUint(1+b.random.Uint64N(newest), 10), "x"}[b.random.IntN(6)]
	opts.ResourceVersionMatch = []metav1.ResourceVersionMatch{"", "", metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan, "x"}[b.random.IntN(5)]
	if opts.ResourceVersion != "0" { // of which the watch cache ignores the limit
		opts.Predicate.Limit = int64(b.random.IntN(4))
	}
	b.sync()
	theirs := opts
	for page := range 20 {
		about := fmt.Sprintf("page %d of list %s at %q %s by %q and %q, %d a page, of %d", page, key, opts.ResourceVersion, opts.ResourceVersionMatch,
			opts.Predicate.Label, opts.Predicate.Field, opts.Predicate.Limit, newest)
		got, want := &example.PodList{}, &example.PodList{}
		err, wantErr := b.ours.GetList(b.t.Context(), key, opts, got), b.theirs.GetList(b.t.Context(), key, theirs, want)
		if reason(err) != reason(wantErr) {
			b.t.Errorf("%s: got error %v, want %v", about, err, wantErr)
		}
		if err != nil || wantErr != nil {
			return
		}
		opts.Predicate.Continue, theirs.Predicate.Continue = got.Continue, want.Continue
		opts.ResourceVersion, opts.ResourceVersionMatch, theirs.ResourceVersion, theirs.ResourceVersionMatch = "", "", "", ""
		if got.Continue == "" && want.Continue != "" && !opts.Predicate.Empty() { // it knows that the rest is empty
			b.checkEmpty(about, key, theirs)
			want.Continue = ""
		}
		if (got.Continue == "") == (want.Continue == "") {
			got.Continue, want.Continue = "", ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			b.t.Errorf("%s: (-watch cache +rows)\n%s", about, diff)
			return
		}
		if opts.Predicate.Continue == "" {
			return
		}
		if b.random.IntN(3) == 0 {
			b.write()
			b.sync()
		}
	}
}

// sync waits until the watch cache has all that was written.
func (b *both) sync() {
	opts := storage.ListOptions{
		ResourceVersion: strconv.FormatUint(b.memory.version(), 10), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		Recursive: true, Predicate: storage.Everything,
	}
	if err := b.theirs.GetList(b.t.Context(), resourcePrefix+"none", opts, &example.PodList{}); err != nil {
		b.t.Fatal(err)
	}
}

// checkEmpty reads the rest of a list of the watch cache.
func (b *both) checkEmpty(about, key string, opts storage.ListOptions) {
	opts.Predicate.Limit = 0
	rest := &example.PodList{}
	if err := b.theirs.GetList(b.t.Context(), key, opts, rest); err != nil || len(rest.Items) > 0 {
		b.t.Errorf("%s: there is no token for the rest, which has %d pods, %v", about, len(rest.Items), err)
	}
}

// reason returns what a client can tell errors apart by.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		return string(reason)
	}
	return "invalid"
}

// watchPair are watches of the same.
type watchPair struct {
	about        string
	key          string
	version      uint64
	predicate    storage.SelectionPredicate
	ours, theirs <-chan string
}

func (b *both) watch() *watchPair {
	key, opts := b.options()
	version := 1 + b.random.Uint64N(b.memory.version())
	opts.ResourceVersion = strconv.FormatUint(version, 10)
	w := &watchPair{key: key, version: version, predicate: opts.Predicate}
	w.about = fmt.Sprintf("watch %s from %d by %q and %q", key, version, opts.Predicate.Label, opts.Predicate.Field)
	w.ours, w.theirs = b.read(b.ours, key, opts), b.read(b.theirs, key, opts)
	return w
}

// read watches a storage and keeps what comes, since the watch cache closes
// watches that are not read.
func (b *both) read(s storage.Interface, key string, opts storage.ListOptions) <-chan string {
	w, err := s.Watch(b.t.Context(), key, opts)
	if err != nil {
		b.t.Fatal(err)
	}
	events := make(chan string, 10_000)
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(events)
		for e := range w.ResultChan() {
			events <- describe(e)
		}
	})
	b.t.Cleanup(func() {
		w.Stop()
		reader.Wait()
	})
	return events
}

// end compares the events of watches with what happened.
func (b *both) end(watches []*watchPair) {
	for _, w := range watches {
		want := b.memory.selected(b.t, w)
		if diff := cmp.Diff(want, events(w.theirs, len(want))); diff != "" {
			b.t.Errorf("%s: (-want +watch cache)\n%s", w.about, diff)
		}
		if diff := cmp.Diff(want, events(w.ours, len(want))); diff != "" {
			b.t.Errorf("%s: (-want +rows)\n%s", w.about, diff)
		}
	}
}

// selected returns what a watch is to send.
func (m *memory) selected(t *testing.T, w *watchPair) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	matches := func(pod *example.Pod) bool {
		if pod == nil {
			return false
		}
		ok, err := w.predicate.Matches(pod)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for i, change := range m.writes[w.version-1:] {
		if !strings.HasPrefix(change.key, strings.TrimSuffix(w.key, "/")+"/") {
			continue
		}
		if !matches(change.before) {
			change.before = nil
		}
		if !matches(change.after) {
			change.after = nil
		}
		if change.before != nil || change.after != nil {
			all = append(all, describe(change.event(w.version+uint64(i)+1)))
		}
	}
	return all
}

func describe(e watch.Event) string {
	object := e.Object
	if cacheable, ok := object.(runtime.CacheableObject); ok {
		object = cacheable.GetObject()
	}
	pod, ok := object.(*example.Pod)
	if !ok {
		return fmt.Sprintf("%s %v", e.Type, object)
	}
	return strings.Join([]string{string(e.Type), pod.Namespace, pod.Name, pod.ResourceVersion, pod.Spec.NodeName, pod.Annotations["version"]}, " ")
}

// events returns the next n events, or what comes within half a minute.
func events(from <-chan string, n int) (all []string) {
	late := time.After(30 * time.Second)
	for len(all) < n {
		select {
		case e, ok := <-from:
			if !ok {
				return append(all, "closed")
			}
			all = append(all, e)
		case <-late:
			return append(all, "nothing more")
		}
	}
	return all
}
