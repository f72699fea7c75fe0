package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// inventories holds what is wrong with inventories. It is safe for concurrent
// use.
type inventories struct {
	mu       sync.Mutex // guards what follows
	problems map[key]*problem
}

func (i *inventories) problem(k key) *problem {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.problems[k]
}

func (i *inventories) set(k key, p *problem) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if p == nil {
		delete(i.problems, k)
	} else {
		i.problems[k] = p
	}
}

// reconcileInventory tells the store what an inventory says.
func (c *Controller) reconcileInventory(_ context.Context, k key) error {
	ref := inventory.Ref(k)
	o, exists := c.inventoryKind.lookup(k)
	if !exists {
		c.store.Update(func(tx *inventory.Tx) { tx.RemoveInventory(ref) })
		c.inventories.set(k, nil)
		c.inventoryStatus.forget(k)
		c.pokePairs(k)
		return nil
	}
	def, problem := c.define(o)
	c.inventories.set(k, problem)
	if problem != nil && forgetting(o) && c.store.State().Snapshot(ref) == nil {
		def, problem = c.describe(o), nil // what was exported goes by its name
	}
	if problem == nil { // else what was valid stays
		c.store.Update(func(tx *inventory.Tx) { tx.SetInventory(*def) })
	}
	c.inventoryStatusQueue.Add(k)
	c.pokePairs(k)
	return nil
}

// define returns what the store is to be told of an inventory.
func (c *Controller) define(o inventoryObject) (*inventory.Inventory, *problem) {
	selector, problem := parseSelector("spec.targetSelector", o.spec.TargetSelector)
	if problem != nil {
		return nil, problem
	}
	if selector == nil {
		selector = labels.Everything()
	}
	namespaces, problem := parseNamespaces(o.spec.Namespaces, "")
	if problem != nil {
		return nil, problem
	}
	def := c.describe(o)
	add := func(targets []targetObject, selected func(targetObject) bool) {
		for _, t := range targets {
			if selected(t) && selector.Matches(labels.Set(t.meta.Labels)) {
				def.Targets = append(def.Targets, inventory.TargetRef(keyOf(t.meta)))
			}
		}
	}
	if o.meta.Namespace != "" {
		add(c.targetKind.in(o.meta.Namespace), func(targetObject) bool { return true })
	} else {
		def.Dedupe = inventory.Dedupe(o.spec.Dedupe == kollectv1alpha1.DedupeByResourceUID)
		existing := c.namespaces.labels()
		add(c.targetKind.all(), func(t targetObject) bool {
			return t.meta.Namespace == "" || namespaces.Selects(t.meta.Namespace, existing[t.meta.Namespace], true)
		})
	}
	slices.SortFunc(def.Targets, inventory.TargetRef.Compare)
	return def, nil
}

// describe returns what the store is to be told of an inventory, but for its rows.
func (c *Controller) describe(o inventoryObject) *inventory.Inventory {
	return &inventory.Inventory{
		Ref:            inventory.Ref(keyOf(o.meta)),
		UID:            string(o.meta.UID),
		Created:        o.meta.CreationTimestamp.Time,
		SpecGeneration: o.meta.Generation,
		Cluster:        cmp.Or(o.spec.Cluster, c.config.ClusterName),
	}
}

// inventoriesOf returns the inventories that may select a target: those of its
// namespace, and the cluster inventories.
func (c *Controller) inventoriesOf(target key) []inventoryObject {
	objects := c.inventoryKind.clusterWide()
	if target.Namespace != "" {
		objects = append(objects, c.inventoryKind.in(target.Namespace)...)
	}
	return objects
}

func (c *Controller) enqueueInventoriesOf(target key) {
	for _, o := range c.inventoriesOf(target) {
		c.inventoryQueue.AddAfter(keyOf(o.meta), selectionDelay)
	}
}

// deselect takes a target that was deleted out of inventories, so that none of
// them waits for it.
func (c *Controller) deselect(target key) {
	candidates := c.inventoriesOf(target)
	c.store.Update(func(tx *inventory.Tx) {
		state := c.store.State()
		for _, o := range candidates {
			snapshot := state.Snapshot(inventory.Ref(keyOf(o.meta)))
			if snapshot == nil {
				continue
			}
			def := *snapshot.Inventory()
			if i, selected := slices.BinarySearchFunc(def.Targets, inventory.TargetRef(target), inventory.TargetRef.Compare); selected {
				def.Targets = slices.Delete(slices.Clone(def.Targets), i, i+1)
				tx.SetInventory(def)
			}
		}
	})
}

// sinkOf returns the key of the sink that an inventory names.
func sinkOf(inventory key, ref *kollectv1alpha1.SinkReference) key {
	return key{inventory.Namespace, ref.Name}
}

func sinkName(k *sinkKind, sink key) string { return fmt.Sprintf("%s %s", k.nameOf(sink), sink) }
