package collect

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/watchlist"

	"kollect.io/kollect/pkg/inventory"
)

// Options are what a collector may be told. The zero value means the defaults.
type Options struct {
	// Changed is told of targets of which there may be news: their state in the
	// store, the number of their rows, or their failures. It must not block; it
	// is called often, from several goroutines.
	Changed func(inventory.TargetRef)
	// Debounce is how long targets that are set together have to be in, to share
	// one list. Default: 100 milliseconds.
	Debounce time.Duration
	// Backoff is between tries to list or watch. Default: from half a second up
	// to 15, and as much again at random.
	Backoff wait.Backoff

	pageSize int64 // of backfills
}

// Collector keeps the rows of targets in a store, and alone writes them there.
// Its methods may be called from any goroutine.
type Collector struct {
	store       *inventory.Store
	options     Options
	open        func(resource schema.GroupVersionResource, namespace string) api
	noWatchList bool
	namespaces  *namespaces
	group       sync.WaitGroup // of all goroutines

	mu        sync.Mutex // guards what follows
	ran       bool
	start     func(func(context.Context)) context.CancelFunc // nil unless Run runs
	resources map[inventory.Resource]*resource               // that have targets
	targets   map[inventory.TargetRef]*member
	order     uint64 // of the newest member
	watches   bool   // namespaces are watched, once Run runs
}

// New returns a collector of what client can read.
func New(store *inventory.Store, client dynamic.Interface, options Options) *Collector {
	open := func(resource schema.GroupVersionResource, namespace string) api {
		if namespace == "" {
			return client.Resource(resource)
		}
		return client.Resource(resource).Namespace(namespace)
	}
	c := newCollector(store, open, options)
	c.noWatchList = watchlist.DoesClientNotSupportWatchListSemantics(client)
	return c
}

func newCollector(store *inventory.Store, open func(schema.GroupVersionResource, string) api, options Options) *Collector {
	if options.Debounce == 0 {
		options.Debounce = 100 * time.Millisecond
	}
	if options.pageSize == 0 {
		options.pageSize = defaultPageSize
	}
	if options.Backoff == (wait.Backoff{}) {
		options.Backoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 100, Cap: 15 * time.Second}
	}
	c := &Collector{
		store:     store,
		options:   options,
		open:      open,
		resources: map[inventory.Resource]*resource{},
		targets:   map[inventory.TargetRef]*member{},
	}
	c.namespaces = &namespaces{
		changed: c.namespacesChanged,
		became:  c.namespacesBecame,
		labels:  map[string]labels.Set{},
	}
	return c
}

// Run collects until ctx ends, and returns when all goroutines have ended. It
// runs once.
func (c *Collector) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.ran {
		c.mu.Unlock()
		return errors.New("run collector: it runs or ran already")
	}
	c.ran = true
	c.start = func(run func(context.Context)) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		c.group.Go(func() { run(ctx) })
		return cancel
	}
	for _, r := range c.resources {
		r.stop = c.start(r.run)
	}
	if c.watches {
		c.start(c.runNamespaces)
	}
	c.mu.Unlock()

	<-ctx.Done()
	c.mu.Lock()
	c.start = nil
	c.mu.Unlock()
	c.group.Wait()
	return nil
}

func (c *Collector) runNamespaces(ctx context.Context) { c.namespaces.run(ctx, c) }

// SetTarget adds a target or changes it. It does not wait for its rows. The
// rows of a changed target are served until all were read again; those of
// another resource are dropped at once.
func (c *Collector) SetTarget(t Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.needsNamespaces() {
		c.watchNamespaces()
	}
	m := c.targets[t.Ref]
	if m != nil && *m.resource.info != *t.Resource {
		c.remove(m)
		m = nil
	}
	if m != nil {
		if !slices.Equal(m.wanted.Columns, t.Columns) {
			c.store.Update(func(tx *inventory.Tx) { tx.SetTarget(t.Ref, t.Columns) })
		}
		m.wanted = &t
		m.resource.post(func() { m.resource.update(m, &t) })
		return
	}
	r := c.resourceOf(&t)
	c.order++
	m = &member{ref: &t.Ref, order: c.order, resource: r, wanted: &t}
	c.targets[t.Ref] = m
	r.targets++
	c.store.Update(func(tx *inventory.Tx) { tx.SetTarget(t.Ref, t.Columns) })
	r.post(func() { r.join(m, &t) })
}

// RemoveTarget removes a target and its rows. They are gone from the store when
// it returns.
func (c *Collector) RemoveTarget(ref inventory.TargetRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.targets[ref]; m != nil {
		c.remove(m)
	}
}

func (c *Collector) remove(m *member) {
	delete(c.targets, *m.ref)
	m.gone.Store(true)
	c.store.Update(func(tx *inventory.Tx) { tx.RemoveTarget(*m.ref) })
	r := m.resource
	r.post(func() { r.leave(m) })
	if r.targets--; r.targets == 0 {
		delete(c.resources, *r.info)
		if r.stop != nil {
			r.stop()
		}
	}
}

// resourceOf returns the resource of a target, and starts it if it is new.
func (c *Collector) resourceOf(t *Target) *resource {
	r := c.resources[*t.Resource]
	if r == nil {
		info := *t.Resource
		r = newResource(c, t.gvr(), &info)
		c.resources[info] = r
		if c.start != nil {
			r.stop = c.start(r.run)
		}
	}
	return r
}

func (c *Collector) watchNamespaces() {
	if !c.watches {
		c.watches = true
		if c.start != nil {
			c.start(c.runNamespaces)
		}
	}
}

// Failures returns the attributes of which some of the target's objects have
// no value, though they are not optional.
func (c *Collector) Failures(ref inventory.TargetRef) []Failure {
	c.mu.Lock()
	m := c.targets[ref]
	c.mu.Unlock()
	if m == nil {
		return nil
	}
	if t := m.failures.Load(); t != nil {
		return t.failures()
	}
	return nil
}

func (c *Collector) changed(ref inventory.TargetRef) {
	if c.options.Changed != nil {
		c.options.Changed(ref)
	}
}

// namespacesChanged tells all resources of namespaces.
func (c *Collector) namespacesChanged(names []string) {
	c.each(func(r *resource) {
		for _, name := range names {
			r.namespaceChanged(name)
		}
	})
}

// namespacesBecame tells all resources of another state of the list.
func (c *Collector) namespacesBecame() {
	c.each(func(r *resource) {
		if c.namespaces.known() {
			r.namespacesKnown()
		}
		r.publish(r.members)
	})
}

// each has the worker of each resource do something, with the lock.
func (c *Collector) each(do func(*resource)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.resources {
		r.post(func() { do(r) })
	}
}
