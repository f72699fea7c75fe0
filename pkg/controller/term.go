package controller

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
)

// term is what a process does from when it begins to lead until it ceases to:
// it opens sinks, exports, and writes statuses.
type term struct {
	controller  *Controller
	logger      klog.Logger
	generations *export.Generations
	exporter    *export.Exporter
	sinks       sinks
	outcomes    outcomes
	sinkQueue   workqueue.TypedRateLimitingInterface[key]
	pairQueue   workqueue.TypedRateLimitingInterface[key]
	closes      sync.WaitGroup

	mu       sync.Mutex // guards what follows
	pairs    map[key]map[string]string
	problems map[key]*problem // with finalizers
}

// lead exports and writes statuses until ctx ends, and returns when all of that
// has ended. leading asks the API server whether this process still leads.
func (c *Controller) lead(ctx context.Context, leading func(context.Context) (bool, error)) {
	logger := klog.FromContext(ctx)
	logger.Info("Leading: sinks and statuses are written from here")
	t := &term{
		controller: c,
		logger:     logger,
		sinks:      sinks{byKey: map[key]sinkState{}},
		outcomes:   outcomes{known: map[key]outcomesOf{}},
		sinkQueue:  newQueue("sinks"),
		pairQueue:  newQueue("pairs"),
		pairs:      map[key]map[string]string{},
		problems:   map[key]*problem{},
	}
	t.generations = export.NewGenerations(&reserver{kind: c.inventoryKind, leading: leading})
	t.exporter = export.New(export.Options{
		Store: c.store, Generations: t.generations, Leading: leading,
		Changed: func(ref inventory.Ref) { t.stateChanged(key(ref)) },
	})
	c.leading.Store(t) // from here on, what changes is enqueued
	for _, o := range c.sinkKind.all() {
		t.sinkQueue.Add(keyOf(o.meta))
	}
	for _, o := range c.inventoryKind.all() {
		t.pairQueue.Add(keyOf(o.meta))
	}
	c.enqueueInventoryStatuses()
	var wg sync.WaitGroup
	wg.Go(func() { t.exporter.Run(ctx) })
	wg.Go(func() { work(ctx, t.sinkQueue, 4, t.reconcileSink) })
	wg.Go(func() { work(ctx, t.pairQueue, 2, t.reconcilePairs) })
	wg.Go(func() { c.profileStatus.run(ctx) })
	wg.Go(func() { c.targetStatus.run(ctx) })
	wg.Go(func() { c.inventoryStatus.run(ctx) })
	wg.Go(func() { c.sinkStatus.run(ctx) })
	wg.Wait()
	t.sinks.clear()
	t.closes.Wait()
	c.sinkStatus.forgetAll()
	c.leading.Store(nil)
	c.enqueueInventoryStatuses()
	logger.Info("Not leading any more")
}

// closing closes a sink in a goroutine.
func (t *term) closing(closeSink func() error) {
	t.closes.Go(func() {
		if err := closeSink(); err != nil {
			t.logger.V(2).Info("Close sink", "err", export.Message(err))
		}
	})
}

// stateChanged has looked at what follows from how an inventory is at a sink.
func (t *term) stateChanged(k key) {
	t.controller.inventoryStatusQueue.AddAfter(k, stateDelay)
	if o, exists := t.controller.inventoryKind.lookup(k); exists && forgetting(o) {
		t.pairQueue.Add(k)
	}
}

// reconcilePairs tells the exporter to which sinks an inventory goes, or from which
// it is to be removed.
func (t *term) reconcilePairs(ctx context.Context, k key) error {
	wanted := map[string]export.Pair{}
	revisions := map[string]string{}
	o, exists := t.controller.inventoryKind.lookup(k)
	if exists && (!held(o) || forgetting(o)) {
		for i := range o.spec.SinkRefs {
			ref := &o.spec.SinkRefs[i]
			t.want(o, ref, wanted, revisions)
		}
	}
	t.mu.Lock()
	before := t.pairs[k]
	t.pairs[k] = revisions
	if len(revisions) == 0 {
		delete(t.pairs, k)
	}
	t.mu.Unlock()
	for name := range before {
		if _, stays := wanted[name]; !stays {
			t.exporter.Remove(inventory.Ref(k), name)
		}
	}
	for name, pair := range wanted {
		if before[name] == revisions[name] {
			pair.Release() // the one that runs has its own
			continue
		}
		t.exporter.Set(pair)
	}
	t.controller.inventoryStatusQueue.AddAfter(k, stateDelay)
	if !exists {
		t.setProblem(k, nil)
		return nil
	}
	return t.finalize(ctx, o)
}

// want adds the pair of a reference whose sink is open.
func (t *term) want(o inventoryObject, ref *kollectv1alpha1.SinkReference, pairs map[string]export.Pair, revisions map[string]string) {
	k := keyOf(o.meta)
	sinkKey := sinkOf(k, ref)
	sink, exists := t.controller.sinkKind.lookup(sinkKey)
	open := t.sinks.acquire(sinkKey)
	if open == nil {
		return
	}
	if !exists {
		open.release()
		return
	}
	settings := export.Settings{AllowMassDelete: sink.spec.MassDeletion == kollectv1alpha1.MassDeletionAllow}
	if d := o.spec.ExportMinInterval; d != nil {
		settings.MinInterval = d.Duration
	}
	if d := ref.ExportMinInterval; d != nil {
		settings.MinInterval = d.Duration
	}
	switch d := sink.spec.MinWriteInterval; {
	case d != nil:
		settings.MinWriteInterval = d.Duration
	case sink.spec.Type == kollectv1alpha1.SinkGit || sink.spec.Type == kollectv1alpha1.SinkObjectStore:
		settings.MinWriteInterval = defaultWriteInterval
	}
	pair := export.Pair{Inventory: inventory.Ref(k), Sink: ref.Name, Settings: settings, Release: open.release}
	if forgetting(o) {
		pair.Destination = export.Forgetting(open.sink.Store)
	} else {
		pair.Destination = open.sink.Destination()
	}
	pairs[ref.Name] = pair
	revisions[ref.Name] = fmt.Sprint(o.meta.UID, sinkKey, open.revision, settings, forgetting(o))
}

// enqueuePairsOf has the pairs of a sink looked at.
func (t *term) enqueuePairsOf(sink key) {
	inventories := t.controller.inventoryKind.clusterWide
	if sink.Namespace != "" {
		inventories = func() []inventoryObject { return t.controller.inventoryKind.in(sink.Namespace) }
	}
	for _, o := range inventories() {
		for i := range o.spec.SinkRefs {
			if sinkOf(keyOf(o.meta), &o.spec.SinkRefs[i]) == sink {
				t.pairQueue.Add(keyOf(o.meta))
			}
		}
	}
}

// pokePairs has the pairs of an inventory looked at, if this process leads.
func (c *Controller) pokePairs(k key) {
	if t := c.leading.Load(); t != nil {
		t.pairQueue.Add(k)
	}
}

func (c *Controller) enqueueInventoryStatuses() {
	for _, o := range c.inventoryKind.all() {
		c.inventoryStatusQueue.Add(keyOf(o.meta))
	}
}
