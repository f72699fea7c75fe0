package controller

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"kollect.io/kollect/pkg/inventory"
)

// watch has every change of configuration reconciled.
func (c *Controller) watch() error {
	return errors.Join(
		c.profileKind.watch(func(k key, before, after *profileObject) {
			if respecified(before, after) {
				c.profileQueue.Add(k)
			}
		}),
		c.targetKind.watch(c.targetChanged),
		c.inventoryKind.watch(func(k key, before, after *inventoryObject) {
			if respecified(before, after) {
				c.inventoryQueue.Add(k)
			} else {
				if deletionChanged(before, after) {
					c.pokePairs(k)
				}
				c.inventoryStatusQueue.AddAfter(k, statusDelay)
			}
		}),
		c.sinkKind.watch(func(k key, before, after *sinkObject) {
			t := c.leading.Load()
			if t != nil && respecified(before, after) {
				t.sinkQueue.Add(k)
			}
		}),
		c.namespaces.watch(c.namespacesChanged),
		c.watchDefinitions(),
	)
}

// targetChanged has looked at what a target, its inventories and the profile
// that it used or uses depend on.
func (c *Controller) targetChanged(k key, before, after *targetObject) {
	switch {
	case respecified(before, after):
		c.targetQueue.Add(k)
		c.enqueueInventoriesOf(k)
		if before == nil {
			return
		}
		if profile, problem := profileOf(*before); problem == nil {
			c.profileQueue.Add(profile) // which shows what fails in its targets
		}
	case !maps.Equal(before.meta.Labels, after.meta.Labels):
		c.enqueueInventoriesOf(k)
	}
}

// watchDefinitions has resources looked for when a definition comes or changes.
// Without the right to watch them it is done now and then all the same.
func (c *Controller) watchDefinitions() error {
	changed := func(item any) {
		if unknown, ok := item.(cache.DeletedFinalStateUnknown); ok {
			item = unknown.Obj
		}
		if o, ok := item.(*metav1.PartialObjectMetadata); ok {
			_, group, _ := strings.Cut(o.Name, ".")
			c.resourcesChanged(group)
		}
	}
	_, err := c.crds.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: changed, UpdateFunc: func(_, item any) { changed(item) }, DeleteFunc: changed,
	})
	return err
}

// followHeads has the status of inventories looked at whose head changed.
func (c *Controller) followHeads(ctx context.Context) {
	for ctx.Err() == nil {
		cursor, err := c.store.Follow(c.store.State().Version)
		if err != nil { // it was the newest version a moment ago: try the one that is now
			continue
		}
		c.enqueueInventoryStatuses()
		c.followFrom(ctx, cursor)
	}
}

func (c *Controller) followFrom(ctx context.Context, cursor *inventory.Cursor) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-cursor.Expired():
			return
		case <-cursor.Ready():
		}
		changed := map[inventory.Ref]struct{}{}
		for ready := true; ready; ready = isReady(cursor) {
			events, _ := cursor.Next()
			for _, event := range events {
				if event.HeadAfter != nil {
					changed[event.Inventory.Ref] = struct{}{}
				}
			}
		}
		for ref := range changed {
			c.inventoryStatusQueue.AddAfter(key(ref), statusDelay)
		}
		// To wake up for each change of rows would take longer than the status does.
		select {
		case <-ctx.Done():
			return
		case <-time.After(headDelay):
		}
	}
}

func isReady(cursor *inventory.Cursor) bool {
	select {
	case <-cursor.Ready():
		return true
	default:
		return false
	}
}

// respecified reports whether an object came, went, or has another spec.
func respecified[Spec, Status any](before, after *object[Spec, Status]) bool {
	return before == nil || after == nil || before.meta.Generation != after.meta.Generation || before.meta.UID != after.meta.UID
}
