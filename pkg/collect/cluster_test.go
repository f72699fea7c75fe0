package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

var widgets = schema.GroupVersionResource{Group: "example.io", Version: "v1", Resource: "widgets"}

// cluster is an API server that does on cue what a real one does not.
type cluster struct {
	mu       sync.Mutex
	version  uint64
	uids     int
	objects  map[schema.GroupVersionResource]map[string]*unstructured.Unstructured // by namespace/name
	log      map[schema.GroupVersionResource][]logged
	watchers map[*clusterWatch]struct{}
	pages    map[string][]unstructured.Unstructured // by continue token
	held     bool                                   // watches deliver nothing
	old      bool                                   // has no initial events
	expire   bool                                   // the next continue token
	fail     func(verb string, gvr schema.GroupVersionResource, options metav1.ListOptions) error
	latency  func() time.Duration // of an answer, after it was made
	calls    []string
}

type logged struct {
	version uint64
	event   watch.Event
}

func newCluster() *cluster {
	return &cluster{
		objects:  map[schema.GroupVersionResource]map[string]*unstructured.Unstructured{},
		log:      map[schema.GroupVersionResource][]logged{},
		watchers: map[*clusterWatch]struct{}{},
		pages:    map[string][]unstructured.Unstructured{},
	}
}

func (c *cluster) open(gvr schema.GroupVersionResource, namespace string) api {
	return &clusterAPI{c, gvr, namespace}
}

// put creates or updates an object.
func (c *cluster) put(gvr schema.GroupVersionResource, namespace, name string, set map[string]string, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	objects := c.objects[gvr]
	if objects == nil {
		objects = map[string]*unstructured.Unstructured{}
		c.objects[gvr] = objects
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gvr.GroupVersion().String(),
		"kind":       "Widget",
		"spec":       map[string]any{"value": value},
	}}
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetLabels(set)
	kind := watch.Modified
	if before := objects[namespace+"/"+name]; before != nil {
		o.SetUID(before.GetUID())
	} else {
		c.uids++
		o.Object["metadata"].(map[string]any)["uid"] = fmt.Sprintf("uid-%d", c.uids)
		kind = watch.Added
	}
	c.version++
	o.SetResourceVersion(strconv.FormatUint(c.version, 10))
	objects[namespace+"/"+name] = o
	c.emit(gvr, watch.Event{Type: kind, Object: o})
}

func (c *cluster) remove(gvr schema.GroupVersionResource, namespace, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[gvr][namespace+"/"+name]
	if o == nil {
		return
	}
	delete(c.objects[gvr], namespace+"/"+name)
	c.version++
	o = o.DeepCopy()
	o.SetResourceVersion(strconv.FormatUint(c.version, 10))
	c.emit(gvr, watch.Event{Type: watch.Deleted, Object: o})
}

func (c *cluster) emit(gvr schema.GroupVersionResource, event watch.Event) {
	c.log[gvr] = append(c.log[gvr], logged{c.version, event})
	c.wake()
}

func (c *cluster) wake() {
	for w := range c.watchers {
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
}

// expireNext makes the next continue token one that expired.
func (c *cluster) expireNext() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expire = true
}

// hold makes watches deliver nothing, or go on.
func (c *cluster) hold(held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = held
	c.wake()
}

// cut ends all watches; with lost, what they missed can't be watched any more.
func (c *cluster) cut(lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.watchers {
		w.end = true
	}
	c.wake()
	if lost {
		c.version++
		clear(c.log)
		for gvr := range c.objects {
			c.log[gvr] = []logged{{version: c.version}} // marks where the history begins
		}
	}
}

// failing makes calls fail, or with nil work again.
func (c *cluster) failing(fail func(verb string, gvr schema.GroupVersionResource, options metav1.ListOptions) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

func (c *cluster) callsOf(prefix string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, call := range c.calls {
		if strings.HasPrefix(call, prefix) {
			n++
		}
	}
	return n
}

type clusterAPI struct {
	*cluster
	gvr       schema.GroupVersionResource
	namespace string
}

func (a *clusterAPI) call(verb string, options metav1.ListOptions) error {
	a.calls = append(a.calls, verb+" "+a.gvr.Resource+" "+a.namespace)
	if a.fail != nil {
		return a.fail(verb, a.gvr, options)
	}
	return nil
}

func (a *clusterAPI) List(ctx context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list, err := a.page(options)
	a.wait()
	return list, err
}

// wait takes the time of an answer.
func (c *cluster) wait() {
	c.mu.Lock()
	var d time.Duration
	if c.latency != nil {
		d = c.latency()
	}
	c.mu.Unlock()
	time.Sleep(d)
}

func (a *clusterAPI) page(options metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.call("list", options); err != nil {
		return nil, err
	}
	list := &unstructured.UnstructuredList{Object: map[string]any{}}
	list.SetResourceVersion(strconv.FormatUint(a.version, 10))
	items := a.pages[options.Continue]
	if options.Continue == "" {
		items = a.selected(options)
	} else if a.expire {
		// As a real one: the token in the error is for the rest as it is now.
		err := apierrors.NewResourceExpired("continue token expired")
		last := items[0].GetNamespace() + "/" + items[0].GetName()
		options.Continue = ""
		items = slices.DeleteFunc(a.selected(options), func(o unstructured.Unstructured) bool {
			return o.GetNamespace()+"/"+o.GetName() < last
		})
		err.ErrStatus.ListMeta.Continue = fmt.Sprintf("page-%d", len(a.pages)+1)
		a.pages[err.ErrStatus.ListMeta.Continue] = items
		a.expire = false
		return nil, err
	}
	if n := int(options.Limit); n > 0 && len(items) > n {
		token := fmt.Sprintf("page-%d", len(a.pages)+1)
		a.pages[token] = items[n:]
		list.SetContinue(token)
		items = items[:n]
	}
	for _, item := range items {
		list.Items = append(list.Items, *item.DeepCopy())
	}
	return list, nil
}

func (a *clusterAPI) selected(options metav1.ListOptions) []unstructured.Unstructured {
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		panic(err)
	}
	names := fields.ParseSelectorOrDie(options.FieldSelector)
	var items []unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(a.objects[a.gvr])) {
		o := a.objects[a.gvr][key]
		if (a.namespace == "" || a.namespace == o.GetNamespace()) &&
			selector.Matches(labels.Set(o.GetLabels())) && names.Matches(fields.Set{"metadata.name": o.GetName()}) {
			items = append(items, *o.DeepCopy())
		}
	}
	return items
}

func (a *clusterAPI) Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.call("watch", options); err != nil {
		return nil, err
	}
	w := &clusterWatch{api: a, ready: make(chan struct{}, 1), out: make(chan watch.Event), done: make(chan struct{})}
	if options.SendInitialEvents != nil {
		if a.old {
			return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
		}
		w.at = a.version
		for _, item := range a.selected(metav1.ListOptions{}) {
			w.first = append(w.first, watch.Event{Type: watch.Added, Object: &item})
		}
		bookmark := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{}}}
		bookmark.SetResourceVersion(strconv.FormatUint(a.version, 10))
		bookmark.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		w.first = append(w.first, watch.Event{Type: watch.Bookmark, Object: bookmark})
	} else {
		at, err := strconv.ParseUint(options.ResourceVersion, 10, 64)
		if err != nil {
			return nil, err
		}
		if log := a.log[a.gvr]; len(log) > 0 && log[0].event.Object == nil && at < log[0].version {
			return nil, apierrors.NewResourceExpired("too old resource version")
		}
		if at > a.version {
			return nil, apierrors.NewTimeoutError("Too large resource version", 1)
		}
		w.at = at
	}
	a.watchers[w] = struct{}{}
	w.ready <- struct{}{}
	go w.run(ctx)
	return w, nil
}

type clusterWatch struct {
	api   *clusterAPI
	first []watch.Event
	at    uint64
	end   bool
	ready chan struct{}
	out   chan watch.Event
	done  chan struct{}
	stop  sync.Once
}

func (w *clusterWatch) ResultChan() <-chan watch.Event { return w.out }
func (w *clusterWatch) Stop()                          { w.stop.Do(func() { close(w.done) }) }

// next returns what to deliver now.
func (w *clusterWatch) next() (events []watch.Event, end bool) {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	if w.api.held {
		return nil, w.end
	}
	events, w.first = w.first, nil
	for _, l := range w.api.log[w.api.gvr] {
		if l.version > w.at && l.event.Object != nil {
			w.at = l.version
			event := l.event
			event.Object = event.Object.DeepCopyObject()
			events = append(events, event)
		}
	}
	return events, w.end
}

func (w *clusterWatch) run(ctx context.Context) {
	defer close(w.out)
	defer func() {
		w.api.mu.Lock()
		delete(w.api.watchers, w)
		w.api.mu.Unlock()
	}()
	for {
		events, end := w.next()
		if end {
			return
		}
		for _, event := range events {
			w.api.wait()
			select {
			case w.out <- event:
			case <-w.done:
				return
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-w.ready:
		case <-w.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// rows returns the target's rows in the store as namespace/name/uid=attributes.
func rows(t testing.TB, store *inventory.Store, ref inventory.TargetRef) []string {
	t.Helper()
	probe := inventory.Ref{Name: "probe"}
	store.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: probe, Targets: []inventory.TargetRef{ref}})
	})
	defer store.Update(func(tx *inventory.Tx) { tx.RemoveInventory(probe) })
	out := []string{}
	for e := range store.State().Snapshot(probe).All() {
		out = append(out, describe(e.Row.Namespace(), e.Row.Name(), e.Row.UID(), json.RawMessage(e.Row.Attributes())))
	}
	slices.Sort(out)
	return out
}

func describe(namespace, name, uid string, attributes json.RawMessage) string {
	return fmt.Sprintf("%s/%s/%s=%s", namespace, name, uid, attributes)
}

// stateOf returns what the store knows of a target.
func stateOf(store *inventory.Store, ref inventory.TargetRef) (state inventory.TargetState) {
	store.Update(func(tx *inventory.Tx) {
		if s := tx.TargetState(ref); s != nil {
			state = *s
		}
	})
	return state
}
