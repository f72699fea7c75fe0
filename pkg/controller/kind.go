package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// key names an object of a kind or, without a namespace, of its cluster twin.
type key struct {
	Namespace, Name string
}

func (k key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

func keyOf(meta *metav1.ObjectMeta) key { return key{meta.Namespace, meta.Name} }

// object is an object of a kind or of its twin, read only.
type object[Spec, Status any] struct {
	meta   *metav1.ObjectMeta
	spec   *Spec
	status *Status
	object runtime.Object
}

// kind reads and writes a namespaced kind and its cluster twin in one way.
type kind[Spec, Status any] struct {
	name, clusterName   string
	namespaced, cluster cache.SharedIndexInformer
	// open returns the parts of an object, and nothing for other types.
	open func(any) (object[Spec, Status], bool)
	// get reads an object from the API server.
	get func(context.Context, key) (runtime.Object, error)
	// patch merges a patch into an object, but for its status.
	patch func(ctx context.Context, key key, patch []byte) error
	// update writes the status.
	update func(context.Context, runtime.Object) error
	// conditions are those of a status.
	conditions func(*Status) *[]metav1.Condition
	// keep copies from a status what others write.
	keep func(to, from *Status)
}

// nameOf returns the name of the kind or of the twin.
func (k *kind[Spec, Status]) nameOf(key key) string {
	if key.Namespace == "" {
		return k.clusterName
	}
	return k.name
}

// lookup returns the object as it was last watched.
func (k *kind[Spec, Status]) lookup(key key) (object[Spec, Status], bool) {
	indexer := k.namespaced.GetIndexer()
	if key.Namespace == "" {
		indexer = k.cluster.GetIndexer()
	}
	item, exists, err := indexer.GetByKey(key.String())
	if err != nil || !exists {
		return object[Spec, Status]{}, false
	}
	return k.open(item)
}

// all returns the objects of the kind and of its twin.
func (k *kind[Spec, Status]) all() []object[Spec, Status] {
	return append(k.opened(k.namespaced.GetIndexer().List()), k.clusterWide()...)
}

// clusterWide returns the objects of the cluster twin.
func (k *kind[Spec, Status]) clusterWide() []object[Spec, Status] {
	return k.opened(k.cluster.GetIndexer().List())
}

// in returns the objects of a namespace.
func (k *kind[Spec, Status]) in(namespace string) []object[Spec, Status] {
	items, err := k.namespaced.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil { // there is always that index
		return nil
	}
	return k.opened(items)
}

func (k *kind[Spec, Status]) opened(items []any) []object[Spec, Status] {
	objects := make([]object[Spec, Status], 0, len(items))
	for _, item := range items {
		if o, ok := k.open(item); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// watch calls changed for each object that is added, changed or deleted, with
// what it was and is.
func (k *kind[Spec, Status]) watch(changed func(key key, before, after *object[Spec, Status])) error {
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(item any) {
			if o, ok := k.open(item); ok {
				changed(keyOf(o.meta), nil, &o)
			}
		},
		UpdateFunc: func(old, item any) {
			before, ok := k.open(old)
			after, also := k.open(item)
			if ok && also {
				changed(keyOf(after.meta), &before, &after)
			}
		},
		DeleteFunc: func(item any) {
			if unknown, ok := item.(cache.DeletedFinalStateUnknown); ok {
				item = unknown.Obj
			}
			if o, ok := k.open(item); ok {
				changed(keyOf(o.meta), &o, nil)
			}
		},
	}
	for _, informer := range []cache.SharedIndexInformer{k.namespaced, k.cluster} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch %s: %w", k.name, err)
		}
	}
	return nil
}

// objectClient is what a generated client has for a type.
type objectClient[T runtime.Object] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	UpdateStatus(ctx context.Context, object T, options metav1.UpdateOptions) (T, error)
	Patch(ctx context.Context, name string, kind types.PatchType, data []byte, options metav1.PatchOptions, subresources ...string) (T, error)
}

// useClients sets get, patch and update.
func useClients[N, C runtime.Object, Spec, Status any](
	k *kind[Spec, Status], namespaced func(namespace string) objectClient[N], cluster objectClient[C],
) {
	k.get = func(ctx context.Context, key key) (runtime.Object, error) {
		if key.Namespace == "" {
			return cluster.Get(ctx, key.Name, metav1.GetOptions{})
		}
		return namespaced(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	}
	k.patch = func(ctx context.Context, key key, patch []byte) (err error) {
		if key.Namespace == "" {
			_, err = cluster.Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		} else {
			_, err = namespaced(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		return err
	}
	k.update = func(ctx context.Context, o runtime.Object) (err error) {
		switch o := o.(type) {
		case N:
			opened, _ := k.open(o)
			_, err = namespaced(opened.meta.Namespace).UpdateStatus(ctx, o, metav1.UpdateOptions{})
		case C:
			_, err = cluster.UpdateStatus(ctx, o, metav1.UpdateOptions{})
		default:
			err = fmt.Errorf("update the status of a %T: unknown type", o)
		}
		return err
	}
}

// modify changes the status of the object that the API server has, if its UID
// is the given one. A conflict reads again. It reports false when there is no
// such object.
func (k *kind[Spec, Status]) modify(ctx context.Context, key key, uid string, change func(*Status) error) (bool, error) {
	const tries = 5
	for try := 1; ; try++ {
		live, err := k.get(ctx, key)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		o, ok := k.open(live)
		if !ok || string(o.meta.UID) != uid {
			return false, nil
		}
		if err := change(o.status); err != nil {
			return true, err
		}
		if err = k.update(ctx, live); err == nil || try == tries || !apierrors.IsConflict(err) {
			return true, err
		}
	}
}
