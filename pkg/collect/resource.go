package collect

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/inventory"
)

// resource collects the objects of one resource for all its targets. Its
// goroutines are a worker, which does what it is told and starts the others, a
// reflector, and at times a backfill.
type resource struct {
	collector *Collector
	gvr       schema.GroupVersionResource
	info      *inventory.Resource // shared by all rows
	targets   int                 // guarded by the lock of the collector
	stop      context.CancelFunc  // guarded by the lock of the collector; nil until it runs

	inboxMu sync.Mutex
	inbox   []func()      // to be done by the worker, with the lock
	wake    chan struct{} // holds one

	mu       sync.RWMutex // guards what follows
	router   router
	members  map[*member]struct{}
	requests map[*member]*request // backfills to be made
	index    index
	outages  outages
	// sequence rises with each change of what is selected.
	sequence uint64
	// began is the sequence when the newest list of all objects began.
	began uint64
	// lists counts the complete lists: a backfill that meets one starts anew.
	lists uint64
	// version is the newest that the reflector has seen.
	version uint64
	// seen holds, while a backfill runs, the version of each object of which
	// the reflector had an event meanwhile.
	seen    map[names]uint64
	garbage bool // the index has entries of members that are gone
	scratch []entry
}

type names struct{ namespace, name string }

func newResource(c *Collector, gvr schema.GroupVersionResource, info *inventory.Resource) *resource {
	return &resource{
		collector: c,
		gvr:       gvr,
		info:      info,
		wake:      make(chan struct{}, 1),
		members:   map[*member]struct{}{},
		requests:  map[*member]*request{},
		index:     index{},
	}
}

// post has the worker call do, with the lock, after all that was posted before.
func (r *resource) post(do func()) {
	r.inboxMu.Lock()
	r.inbox = append(r.inbox, do)
	r.inboxMu.Unlock()
	r.signal()
}

// signal has the worker look what there is to do.
func (r *resource) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run is the worker.
func (r *resource) run(ctx context.Context) {
	var (
		group     sync.WaitGroup
		reflects  bool
		backfills bool
		delay     <-chan time.Time
		done      = make(chan error, 1)
		backoff   = r.collector.options.Backoff
	)
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			r.drain()
		case err := <-done:
			backfills = false
			if err == nil {
				backoff = r.collector.options.Backoff
			} else {
				delay = time.After(backoff.Step())
			}
		case <-delay:
			delay = nil
			active, pending := r.work()
			if active && !reflects {
				reflects = true
				group.Go(func() { r.reflect(ctx) })
			}
			if pending && !backfills {
				backfills = true
				group.Go(func() { done <- r.backfill(ctx) })
			}
			continue
		}
		active, pending := r.work()
		if delay == nil && (active && !reflects || pending && !backfills) {
			delay = time.After(r.collector.options.Debounce)
		}
	}
}

// drain does what was posted.
func (r *resource) drain() {
	r.inboxMu.Lock()
	inbox := r.inbox
	r.inbox = nil
	r.inboxMu.Unlock()
	if len(inbox) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, do := range inbox {
		do()
	}
	if r.garbage {
		r.garbage = false
		r.sweep(func(_ *record, e entry) bool { return !e.spec.member.gone.Load() }, nil)
	}
}

// work reports whether any target is to be collected, and whether a backfill
// is to be made.
func (r *resource) work() (active, pending bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for m := range r.members {
		if m.spec != nil && !m.frozen {
			active = true
			break
		}
	}
	return active, r.lists > 0 && len(r.requests) > 0
}

// reflect runs the reflector.
func (r *resource) reflect(ctx context.Context) {
	logger := klog.FromContext(ctx)
	backoff := r.collector.options.Backoff
	source := &source{
		api:         r.collector.open(r.gvr, ""),
		gvr:         r.gvr,
		noWatchList: r.collector.noWatchList,
		converter:   func() converter { return r.newEvaluator() },
		began:       r.listBegan,
		note:        r.note,
		spawn:       r.collector.group.Go,
	}
	cache.NewReflectorWithOptions(source, nil, r, cache.ReflectorOptions{
		Logger:          &logger,
		Name:            "collect",
		TypeDescription: r.gvr.String(),
		Clock:           endingClock{ctx: ctx},
		Backoff:         &backoff,
	}).RunWithContext(ctx)
}

// listBegan notes that all objects are listed from now on.
func (r *resource) listBegan() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = r.sequence
}

// note takes in how a call of the reflector went.
func (r *resource) note(call outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.outages.message()
	r.outages.note(call)
	if r.outages.message() != before {
		r.publish(r.members)
	}
}

// route appends the specs that select an object, and returns the sequence at
// which they do.
func (r *resource) route(specs []*spec, namespace, name string, set labels.Set) ([]*spec, uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	specs, _ = r.router.route(specs, namespace, name, set)
	return specs, r.sequence
}

// namespaceOf returns the string that rows of the namespace share, or nothing.
func (r *resource) namespaceOf(name string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.index[name]; p != nil {
		return p.namespace
	}
	return ""
}
