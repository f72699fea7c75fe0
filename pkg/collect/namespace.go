package collect

import (
	"context"
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

var namespaceResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// namespaces holds the labels of all namespaces, and nothing else of them.
type namespaces struct {
	// changed is told of namespaces that came, went or got other labels.
	changed func(names []string)
	// became is told that the list is known, or that it can't be watched, or
	// can again.
	became func()

	mu      sync.RWMutex // guards what follows
	labels  map[string]labels.Set
	listed  bool
	outages outages
}

var _ cache.ReflectorStore = &namespaces{}

// known reports whether the list is complete.
func (n *namespaces) known() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.listed
}

// outage says why namespaces can't be watched, or nothing.
func (n *namespaces) outage() string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.outages.message()
}

// get returns the labels of a namespace and whether it exists.
func (n *namespaces) get(name string) (labels.Set, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	set, ok := n.labels[name]
	return set, ok
}

// each calls fn for each namespace.
func (n *namespaces) each(fn func(name string, set labels.Set)) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for name, set := range n.labels {
		fn(name, set)
	}
}

// run keeps the namespaces as they are in the cluster until ctx ends.
func (n *namespaces) run(ctx context.Context, c *Collector) {
	logger := klog.FromContext(ctx)
	backoff := c.options.Backoff
	source := &source{
		api:         c.open(namespaceResource, ""),
		gvr:         namespaceResource,
		noWatchList: c.noWatchList,
		converter:   func() converter { return namespaceConverter{} },
		began:       func() {},
		note:        n.note,
		spawn:       c.group.Go,
	}
	cache.NewReflectorWithOptions(source, nil, n, cache.ReflectorOptions{
		Logger:          &logger,
		Name:            "collect",
		TypeDescription: namespaceResource.String(),
		Clock:           endingClock{ctx: ctx},
		Backoff:         &backoff,
	}).RunWithContext(ctx)
}

func (n *namespaces) note(call outcome) {
	n.mu.Lock()
	before := n.outages.message()
	n.outages.note(call)
	changed := n.outages.message() != before
	n.mu.Unlock()
	if changed {
		n.became()
	}
}

// Add takes in a namespace.
func (n *namespaces) Add(o any) error {
	ns, ok := o.(*namespace)
	if !ok {
		return nil
	}
	n.mu.Lock()
	before, existed := n.labels[ns.name]
	n.labels[ns.name] = ns.labels
	n.mu.Unlock()
	if !existed || !maps.Equal(before, ns.labels) {
		n.changed([]string{ns.name})
	}
	return nil
}

// Update is Add.
func (n *namespaces) Update(o any) error { return n.Add(o) }

// Delete forgets a namespace.
func (n *namespaces) Delete(o any) error {
	ns, ok := o.(*object)
	if !ok {
		return nil
	}
	n.mu.Lock()
	delete(n.labels, ns.name)
	n.mu.Unlock()
	n.changed([]string{ns.name})
	return nil
}

// Replace takes in the list of all namespaces.
func (n *namespaces) Replace(list []any, _ string) error {
	next := make(map[string]labels.Set, len(list))
	for _, item := range list {
		if ns, ok := item.(*namespace); ok {
			next[ns.name] = ns.labels
		}
	}
	n.mu.Lock()
	var changed []string
	for name, set := range next {
		if before, existed := n.labels[name]; !existed || !maps.Equal(before, set) {
			changed = append(changed, name)
		}
	}
	for name := range n.labels {
		if _, exists := next[name]; !exists {
			changed = append(changed, name)
		}
	}
	first := !n.listed
	n.labels, n.listed = next, true
	n.mu.Unlock()
	if first {
		n.became()
	} else if len(changed) > 0 {
		n.changed(changed)
	}
	return nil
}

// Resync does nothing.
func (n *namespaces) Resync() error { return nil }

// namespace is what is kept of a namespace.
type namespace struct {
	object
	labels labels.Set
}

// DeepCopyObject returns the namespace itself, which never changes.
func (n *namespace) DeepCopyObject() runtime.Object { return n }

type namespaceConverter struct{}

// convert implements converter.
func (namespaceConverter) convert(o *unstructured.Unstructured) (runtime.Object, bool) {
	return &namespace{object: newObject(o), labels: o.GetLabels()}, true
}
