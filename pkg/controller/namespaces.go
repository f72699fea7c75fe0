package controller

import (
	"context"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"
)

var (
	namespacesResource = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	crdsResource       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// namespaces knows the labels of namespaces.
type namespaces struct {
	informer cache.SharedIndexInformer
}

// each calls fn for each existing namespace.
func (n *namespaces) each(fn func(name string, set labels.Set)) {
	for name, set := range n.labels() {
		fn(name, set)
	}
}

// labels returns the labels of the existing namespaces, by name.
func (n *namespaces) labels() map[string]labels.Set {
	items := n.informer.GetIndexer().List()
	existing := make(map[string]labels.Set, len(items))
	for _, item := range items {
		if o, ok := item.(*metav1.PartialObjectMetadata); ok {
			existing[o.Name] = o.Labels
		}
	}
	return existing
}

// watch calls changed when a namespace comes, goes or has other labels.
func (n *namespaces) watch(changed func()) error {
	_, err := n.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { changed() },
		UpdateFunc: func(old, item any) {
			before, ok := old.(*metav1.PartialObjectMetadata)
			after, also := item.(*metav1.PartialObjectMetadata)
			if ok && also && !maps.Equal(before.Labels, after.Labels) {
				changed()
			}
		},
		DeleteFunc: func(any) { changed() },
	})
	if err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	return nil
}

// namespacesChanged has all that selects namespaces looked at, once for many
// changes: at the start, each namespace is one.
func (c *Controller) namespacesChanged() {
	c.namespaceQueue.AddAfter(key{}, selectionDelay)
}

// reconcileSelections has looked at what selects namespaces by what exists.
func (c *Controller) reconcileSelections(context.Context, key) error {
	for _, o := range c.targetKind.all() {
		if o.meta.Namespace == "" {
			continue // the collector knows what it selects
		}
		if s, problem := parseNamespaces(o.spec.Namespaces, o.meta.Namespace); problem == nil && s.Lookup() {
			c.targetQueue.Add(keyOf(o.meta))
		}
	}
	for _, o := range c.inventoryKind.clusterWide() {
		if s := o.spec.Namespaces; s != nil && s.Selector != nil {
			c.inventoryQueue.Add(keyOf(o.meta))
		}
	}
	return nil
}

// resourcesChanged looks for the resources of a group's profiles again.
func (c *Controller) resourcesChanged(group string) {
	c.resolver.invalidate()
	for _, o := range c.profileKind.all() {
		if o.spec.Resource.Group == group {
			c.profileQueue.AddAfter(keyOf(o.meta), resourceDelay)
		}
	}
}
