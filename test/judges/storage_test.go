package judges

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	registry "kollect.io/kollect/pkg/registry/inventory"
)

// rowStorage is what is judged.
type rowStorage interface {
	rest.Getter
	rest.Lister
	rest.Watcher
}

// podStorage is a storage of pods whose reads are those of rows.
type podStorage struct {
	t        testing.TB
	pods     *pods
	versions *versions
	store    *inventory.Store
	rows     rowStorage
	clock    *clock

	mu          sync.Mutex // held by writers
	transformer atomic.Pointer[value.Transformer]
}

var _ storagetesting.InterfaceWithPrefixTransformer = &podStorage{}

// nobody is not asked: who may see a row is judged elsewhere.
var nobody = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", nil
})

// clock is the time of a store: it goes on by a second with each change.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds.Load(), 0) }

const historyAge = time.Hour

func newPodStorage(t testing.TB, scope inventory.Scope) *podStorage {
	s := &podStorage{t: t, pods: newPods(scope), clock: &clock{}, versions: &versions{}}
	s.store = inventory.NewStore(inventory.Options{Epoch: 3, HistoryAge: historyAge, Now: s.clock.now})
	first := s.store.State().Version
	s.versions.changes = []change{{first, first}}
	scheme := runtime.NewScheme()
	if err := registry.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	name := "inventoryrows"
	if scope == inventory.Cluster {
		name = "clusterinventoryrows"
	}
	s.rows = registry.New(s.store, registry.NewSerializer(scheme), nobody, inventory.NewEncodings(1<<20))[name].(rowStorage)
	return s
}

func (s *podStorage) Versioner() storage.Versioner                        { return storage.APIObjectVersioner{} }
func (s *podStorage) ReadinessCheck() error                               { return nil }
func (s *podStorage) RequestWatchProgress(context.Context) error          { return nil }
func (s *podStorage) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }
func (s *podStorage) Stats(context.Context) (storage.Stats, error) {
	return storage.Stats{}, errors.New("the adapter has no statistics")
}

func (s *podStorage) CompactRevision() int64 {
	s.versions.mu.RLock()
	defer s.versions.mu.RUnlock()
	return int64(s.versions.compacted)
}

func (s *podStorage) GetCurrentResourceVersion(ctx context.Context) (uint64, error) {
	list, err := s.rows.List(request.WithNamespace(ctx, ""), &metainternalversion.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(s.versions.out(list.(metav1.ListInterface).GetResourceVersion()), 10, 64)
}

func (s *podStorage) Get(ctx context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	namespace, _ := s.pods.parse(key)
	row, err := s.rows.Get(request.WithNamespace(ctx, namespace), s.pods.rowName(s.t, s.pods.ref(key)),
		&metav1.GetOptions{ResourceVersion: s.versions.in(opts.ResourceVersion)})
	switch {
	case apierrors.IsNotFound(err) && opts.IgnoreNotFound:
		*out.(*example.Pod) = example.Pod{}
		return nil
	case apierrors.IsNotFound(err):
		return storage.NewKeyNotFoundError(key, 0)
	case err != nil:
		return err
	}
	*out.(*example.Pod) = *s.pods.pod(s.t, row.(runtime.CacheableObject).GetObject(), s.versions)
	return nil
}

func (s *podStorage) GetList(ctx context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	namespace, options := s.options(key, opts)
	object, err := s.rows.List(request.WithNamespace(ctx, namespace), options)
	if err != nil {
		return s.translate(err, namespace)
	}
	list := out.(*example.PodList)
	list.Items = []example.Pod{}
	if err := object.(runtime.Unstructured).EachListItem(func(item runtime.Object) error {
		pod := s.pods.pod(s.t, item.(runtime.CacheableObject).GetObject(), s.versions)
		list.Items = append(list.Items, *pod)
		return s.transform(ctx)
	}); err != nil {
		return err
	}
	meta := object.(metav1.ListInterface)
	list.ListMeta = metav1.ListMeta{
		ResourceVersion: s.versions.out(meta.GetResourceVersion()), RemainingItemCount: meta.GetRemainingItemCount(),
		Continue: s.tokenOut(meta.GetContinue(), namespace),
	}
	return nil
}

// options returns the namespace and the options of a request for rows.
func (s *podStorage) options(key string, opts storage.ListOptions) (string, *metainternalversion.ListOptions) {
	namespace, name := s.pods.parse(key)
	options := &metainternalversion.ListOptions{
		LabelSelector:        opts.Predicate.Label,
		ResourceVersion:      s.versions.in(opts.ResourceVersion),
		ResourceVersionMatch: opts.ResourceVersionMatch,
		Limit:                opts.Predicate.Limit,
		AllowWatchBookmarks:  opts.Predicate.AllowWatchBookmarks,
		SendInitialEvents:    opts.SendInitialEvents,
	}
	if opts.Predicate.Field != nil {
		options.FieldSelector = s.fields(opts.Predicate.Field)
	}
	if opts.Predicate.Limit > 0 && options.FieldSelector != nil {
		s.selectNamesByLabel(options)
	}
	switch {
	case !opts.Recursive: // what is not an object's key has no row
		one := fields.OneTermEqualSelector("metadata.name", s.pods.rowName(s.t, s.pods.ref(key)))
		if options.FieldSelector != nil && !options.FieldSelector.Empty() {
			one = fields.AndSelectors(options.FieldSelector, one)
		}
		options.FieldSelector = one
	case name != "": // as a prefix, an object's key has nothing below it
		namespace += "/" + name
	}
	options.Continue = s.tokenIn(opts.Predicate.Continue, namespace)
	return namespace, options
}

// fields translates a selector of pods.
func (s *podStorage) fields(selector fields.Selector) fields.Selector {
	translated, err := selector.Transform(func(field, value string) (string, string, error) {
		switch field {
		case "metadata.name":
			return "inventory", encodeName(value), nil
		case "spec.nodeName":
			return "source.kind", value, nil
		}
		return field, value, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return translated
}

// selectNamesByLabel has a page select names by a label. A page that an index
// selects knows that it is the last; etcd, and the tests, have a token for the
// rest, which is empty.
func (s *podStorage) selectNamesByLabel(options *metainternalversion.ListOptions) {
	var other []fields.Selector
	for _, r := range options.FieldSelector.Requirements() {
		if r.Field != "inventory" {
			other = append(other, fields.ParseSelectorOrDie(r.Field+string(r.Operator)+fields.EscapeValue(r.Value)))
			continue
		}
		name, err := labels.NewRequirement(nameLabel, r.Operator, []string{r.Value})
		if err != nil {
			s.t.Fatal(err)
		}
		options.LabelSelector = options.LabelSelector.Add(*name)
	}
	options.FieldSelector = fields.AndSelectors(other...)
}

// prefixes are what the keys in continue tokens start with, of pods and of rows.
func prefixes(namespace string) (ofPods, ofRows string) {
	if namespace == "" {
		return resourcePrefix, "/"
	}
	return resourcePrefix + namespace + "/", "/" + namespace + "/"
}

// tokenIn translates a continue token; one that is malformed stays as it is.
func (s *podStorage) tokenIn(token, namespace string) string {
	ofPods, ofRows := prefixes(namespace)
	from, version, err := storage.DecodeContinue(token, ofPods)
	if token == "" || err != nil {
		return token
	}
	from, after := strings.CutSuffix(from, "\x00")
	ref := s.pods.ref(from)
	next := "/" + s.pods.rowName(s.t, ref)
	if ref.Namespace != "" {
		next = "/" + ref.Namespace + next
	}
	if after {
		next += "\x00"
	}
	if version > 0 {
		if version, err = strconv.ParseInt(s.versions.in(strconv.FormatInt(version, 10)), 10, 64); err != nil {
			s.t.Error(err)
		}
	}
	return s.encode(next, ofRows, version)
}

func (s *podStorage) tokenOut(token, namespace string) string {
	if token == "" {
		return ""
	}
	ofPods, ofRows := prefixes(namespace)
	from, version, err := storage.DecodeContinue(token, ofRows)
	if err != nil {
		s.t.Errorf("the continue token of a list: %v", err)
		return token
	}
	from, after := strings.CutSuffix(from, "\x00")
	slash := strings.LastIndex(from, "/") + 1
	name, _, _ := strings.Cut(from[slash:], ".")
	next := resourcePrefix + strings.TrimPrefix(from[:slash], "/") + decodeName(s.t, name)
	if after {
		next += "\x00"
	}
	if version > 0 {
		if version, err = strconv.ParseInt(s.versions.out(strconv.FormatInt(version, 10)), 10, 64); err != nil {
			s.t.Error(err)
		}
	}
	return s.encode(next, ofPods, version)
}

func (s *podStorage) encode(key, prefix string, version int64) string {
	token, err := storage.EncodeContinue(key, prefix, version)
	if err != nil {
		s.t.Errorf("the continue token of %s: %v", key, err)
	}
	return token
}

// translate returns an error with the continue token of pods.
func (s *podStorage) translate(err error, namespace string) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Continue == "" {
		return err
	}
	translated := *status
	translated.ErrStatus.Continue = s.tokenOut(translated.ErrStatus.Continue, namespace)
	return &translated
}

func (s *podStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	namespace, options := s.options(key, opts)
	ctx, cancel := context.WithCancel(ctx)
	events, err := s.rows.Watch(request.WithNamespace(ctx, namespace), options)
	if err != nil {
		cancel()
		return nil, s.translate(err, namespace)
	}
	w := &podWatch{events: events, result: make(chan watch.Event), abandoned: make(chan struct{})}
	var running sync.WaitGroup
	running.Go(func() {
		defer close(w.result)
		for e := range events.ResultChan() {
			e.Object = s.eventObject(e)
			select {
			case w.result <- e:
			case <-w.abandoned:
				return
			}
		}
	})
	s.t.Cleanup(func() {
		cancel()
		close(w.abandoned)
		running.Wait()
		events.Stop()
	})
	return w, nil
}

// podWatch is a watch of pods. What was sent before it was stopped can still be
// read.
type podWatch struct {
	events    watch.Interface
	result    chan watch.Event
	abandoned chan struct{}
}

func (w *podWatch) ResultChan() <-chan watch.Event { return w.result }
func (w *podWatch) Stop()                          { w.events.Stop() }

func (s *podStorage) eventObject(e watch.Event) runtime.Object {
	object := e.Object
	if cacheable, ok := object.(runtime.CacheableObject); ok {
		object = cacheable.GetObject()
	}
	switch e.Type {
	case watch.Error:
		return object
	case watch.Bookmark:
		var meta metav1.ObjectMeta
		switch row := object.(type) {
		case *inventoryv1alpha1.InventoryRow:
			meta = row.ObjectMeta
		case *inventoryv1alpha1.ClusterInventoryRow:
			meta = row.ObjectMeta
		}
		meta.ResourceVersion = s.versions.out(meta.ResourceVersion)
		return &example.Pod{ObjectMeta: meta}
	}
	return s.pods.pod(s.t, object, s.versions)
}
