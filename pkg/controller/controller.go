package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/export"
	clientset "kollect.io/kollect/pkg/generated/clientset/versioned"
	informers "kollect.io/kollect/pkg/generated/informers/externalversions"
	"kollect.io/kollect/pkg/inventory"
)

// How long changes wait for others that they can be dealt with together.
const (
	statusDelay    = 500 * time.Millisecond // of rows and states of targets
	headDelay      = 50 * time.Millisecond  // of rows, before it is looked whose heads they changed
	stateDelay     = 100 * time.Millisecond // of the states of sinks
	selectionDelay = 200 * time.Millisecond // of targets and namespaces
	resourceDelay  = time.Second            // of custom resource definitions, until they are served
)

// Config is what a controller is made of.
type Config struct {
	// Client says how to reach the cluster.
	Client *rest.Config
	Store  *inventory.Store
	// ClusterName is the cluster of inventories that do not say another.
	ClusterName string
	// Openers open the sinks of the types that there are.
	Openers        map[kollectv1alpha1.SinkType]Opener
	LeaderElection LeaderElection

	// AccessInterval is how often it is asked what service accounts may read. A
	// denial counts when it is given again after a twelfth of it. Default: one
	// minute.
	AccessInterval time.Duration
	// SecretInterval is how often Secrets of sinks are read again. Default: one
	// minute.
	SecretInterval time.Duration
}

// clients are how the cluster is reached.
type clients struct {
	core     kubernetes.Interface
	kollect  clientset.Interface
	metadata metadata.Interface
}

// Controller makes configuration come true.
type Controller struct {
	config    Config
	store     *inventory.Store
	clients   clients
	collector collector
	collect   func(context.Context) error // runs collector
	resolver  *resolver
	access    *access

	factory    informers.SharedInformerFactory
	namespaces namespaces
	crds       cache.SharedIndexInformer

	profileKind   *profileKind
	targetKind    *targetKind
	inventoryKind *inventoryKind
	sinkKind      *sinkKind

	profiles    profiles
	targets     targets
	inventories inventories
	leading     atomic.Pointer[term] // nil while another process leads

	profileQueue, targetQueue, targetStatusQueue workqueue.TypedRateLimitingInterface[key]
	inventoryQueue, inventoryStatusQueue         workqueue.TypedRateLimitingInterface[key]
	namespaceQueue                               workqueue.TypedRateLimitingInterface[key] // of one key, which is empty

	recorder        record.EventRecorder // from Run on
	profileStatus   *statuses[kollectv1alpha1.ProfileSpec, kollectv1alpha1.ProfileStatus]
	targetStatus    *statuses[kollectv1alpha1.TargetSpec, kollectv1alpha1.TargetStatus]
	inventoryStatus *statuses[kollectv1alpha1.InventorySpec, kollectv1alpha1.InventoryStatus]
	sinkStatus      *statuses[kollectv1alpha1.SinkSpec, kollectv1alpha1.SinkDestinationStatus]
}

// New returns a controller, which is to be run: Run frees what it holds. It does
// not reach for the cluster before.
func New(config Config) (*Controller, error) {
	if config.Client == nil || config.Store == nil {
		return nil, errors.New("create controller: Client and Store are required")
	}
	if !config.LeaderElection.Disabled && (config.LeaderElection.Namespace == "" || config.LeaderElection.Identity == "") {
		return nil, errors.New("create controller: a leader election needs a namespace and an identity")
	}
	restConfig := rest.CopyConfig(config.Client)
	if restConfig.QPS == 0 {
		restConfig.QPS, restConfig.Burst = 100, 200
	}
	core, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("create controller: %w", err)
	}
	kollect, err := clientset.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("create controller: %w", err)
	}
	meta, err := metadata.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("create controller: %w", err)
	}
	source, err := collect.NewClient(restConfig)
	if err != nil {
		return nil, fmt.Errorf("create controller: %w", err)
	}
	c := newController(config, clients{core, kollect, meta})
	collector := collect.New(config.Store, source, collect.Options{
		Changed: func(ref inventory.TargetRef) { c.targetStatusQueue.AddAfter(key(ref), statusDelay) },
	})
	c.collector, c.collect = collector, collector.Run
	return c, nil
}

// Metrics returns the metrics of what is exported, of which there are none while
// another process leads.
func (c *Controller) Metrics() *export.Metrics {
	return export.NewMetrics(func() *export.Exporter {
		if t := c.leading.Load(); t != nil {
			return t.exporter
		}
		return nil
	})
}

// newController returns a controller without a collector.
func newController(config Config, clients clients) *Controller {
	if config.AccessInterval == 0 {
		config.AccessInterval = time.Minute
	}
	if config.SecretInterval == 0 {
		config.SecretInterval = time.Minute
	}
	config.LeaderElection = config.LeaderElection.withDefaults()
	factory := informers.NewSharedInformerFactory(clients.kollect, 0)
	watched := metadatainformer.NewSharedInformerFactory(clients.metadata, 0)
	c := &Controller{
		config: config, store: config.Store, clients: clients,
		resolver:    newResolver(clients.core.Discovery()),
		factory:     factory,
		namespaces:  namespaces{watched.ForResource(namespacesResource).Informer()},
		crds:        watched.ForResource(crdsResource).Informer(),
		profileKind: newProfileKind(clients.kollect, factory), targetKind: newTargetKind(clients.kollect, factory),
		inventoryKind: newInventoryKind(clients.kollect, factory), sinkKind: newSinkKind(clients.kollect, factory),
		profiles:     profiles{byKey: map[key]*profile{}},
		targets:      targets{byKey: map[key]*target{}},
		inventories:  inventories{problems: map[key]*problem{}},
		profileQueue: newQueue("profiles"), targetQueue: newQueue("targets"), targetStatusQueue: newQueue("target-states"),
		inventoryQueue: newQueue("inventories"), inventoryStatusQueue: newQueue("inventory-states"),
		namespaceQueue: newQueue("namespaces"),
	}
	c.access = newAccess(clients.core.AuthorizationV1().SubjectAccessReviews(), config.AccessInterval, config.AccessInterval/12,
		func(target key) { c.targetQueue.AddAfter(target, selectionDelay) })
	c.profileStatus = newStatuses(c.profileKind, c.event)
	c.targetStatus = newStatuses(c.targetKind, c.event)
	c.inventoryStatus = newStatuses(c.inventoryKind, c.event)
	c.inventoryStatus.due = freshness
	c.sinkStatus = newStatuses(c.sinkKind, c.event)
	return c
}

// Run watches the configuration and makes it come true until ctx ends. It
// returns when all that it started has ended. It may be called once.
func (c *Controller) Run(ctx context.Context) error {
	defer c.shutDown()
	if err := c.watch(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopEvents := c.startEvents(ctx)
	defer stopEvents()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c.factory.StartWithContext(ctx)
	defer c.factory.Shutdown()
	defer cancel()
	wg.Go(func() { c.namespaces.informer.RunWithContext(ctx) })
	wg.Go(func() { c.crds.RunWithContext(ctx) })
	if !c.waitForConfiguration(ctx) {
		return nil
	}
	return c.work(ctx)
}

// shutDown ends the goroutines that queues have.
func (c *Controller) shutDown() {
	for _, queue := range []interface{ ShutDown() }{
		c.profileQueue, c.targetQueue, c.targetStatusQueue, c.inventoryQueue, c.inventoryStatusQueue, c.namespaceQueue,
		c.access.queue,
	} {
		queue.ShutDown()
	}
}

// waitForConfiguration returns when all configuration was read once; false if
// ctx ended before.
func (c *Controller) waitForConfiguration(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(),
		c.namespaces.informer.HasSynced,
		c.profileKind.namespaced.HasSynced, c.profileKind.cluster.HasSynced,
		c.targetKind.namespaced.HasSynced, c.targetKind.cluster.HasSynced,
		c.inventoryKind.namespaced.HasSynced, c.inventoryKind.cluster.HasSynced,
		c.sinkKind.namespaced.HasSynced, c.sinkKind.cluster.HasSynced)
}

// work runs everything that acts on the configuration.
func (c *Controller) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	failures := make(chan error, 2)
	start := func(run func(context.Context) error) {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				failures <- err
				cancel()
			}
		})
	}
	wg.Go(func() { work(ctx, c.profileQueue, 2, c.reconcileProfile) })
	wg.Go(func() { work(ctx, c.targetQueue, 4, c.reconcileTarget) })
	wg.Go(func() { work(ctx, c.targetStatusQueue, 2, c.reconcileTargetStatus) })
	wg.Go(func() { work(ctx, c.inventoryQueue, 2, c.reconcileInventory) })
	wg.Go(func() { work(ctx, c.inventoryStatusQueue, 2, c.reconcileInventoryStatus) })
	wg.Go(func() { work(ctx, c.namespaceQueue, 1, c.reconcileSelections) })
	wg.Go(func() { c.access.run(ctx) })
	wg.Go(func() { c.lookForResources(ctx) })
	wg.Go(func() { c.followHeads(ctx) })
	start(c.collect)
	start(func(ctx context.Context) error {
		return c.config.LeaderElection.campaign(ctx, c.clients.core, c.lead)
	})
	wg.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}
