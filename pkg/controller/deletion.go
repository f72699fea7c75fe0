package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
)

// held reports whether an inventory is being deleted, and is there only because of
// the finalizer: nothing is exported any more.
func held(o inventoryObject) bool { return o.meta.DeletionTimestamp != nil && hasFinalizer(o.meta) }

// forgetting reports whether what was exported of an inventory is to be removed
// now.
func forgetting(o inventoryObject) bool {
	return held(o) && o.spec.DeletionPolicy == kollectv1alpha1.DeletionDelete
}

func hasFinalizer(meta *metav1.ObjectMeta) bool {
	return slices.Contains(meta.Finalizers, kollectv1alpha1.FinalizerForget)
}

// finalize puts the finalizer on an inventory whose exports are to go with it, and
// takes it off one whose exports stay, or are gone.
func (t *term) finalize(ctx context.Context, o inventoryObject) error {
	kind, k := t.controller.inventoryKind, keyOf(o.meta)
	wanted := t.finalizerOf(o)
	if wanted == hasFinalizer(o.meta) {
		t.setProblem(k, nil)
		return nil
	}
	err := t.patchFinalizer(ctx, o.meta, wanted)
	switch {
	case err == nil:
		t.setProblem(k, nil)
		return nil
	case apierrors.IsConflict(err):
		t.pairQueue.AddAfter(k, stateDelay)
		return nil
	case apierrors.IsForbidden(err):
		t.setProblem(k, problemf(reasonFinalizer, "spec.deletionPolicy: the server may not write the finalizer %s, by which what was exported goes with the inventory: allow it to patch %s objects, or set Retain",
			kollectv1alpha1.FinalizerForget, kind.nameOf(k)))
	}
	return fmt.Errorf("write the finalizer of %s %s: %w", kind.nameOf(k), k, err)
}

// finalizerOf reports whether an inventory is to have the finalizer.
func (t *term) finalizerOf(o inventoryObject) bool {
	switch {
	case o.spec.DeletionPolicy != kollectv1alpha1.DeletionDelete:
		return false
	case o.meta.DeletionTimestamp == nil:
		return true
	}
	return hasFinalizer(o.meta) && !t.forgotten(o)
}

// forgotten reports whether nothing of an inventory is left at its sinks. A sink
// that does not exist any more is not waited for.
func (t *term) forgotten(o inventoryObject) bool {
	k := keyOf(o.meta)
	outcomes := map[string]export.Outcome{}
	for _, state := range t.exporter.States(inventory.Ref(k)) {
		outcomes[state.Name] = state.Outcome
	}
	for i := range o.spec.SinkRefs {
		ref := &o.spec.SinkRefs[i]
		if _, exists := t.controller.sinkKind.lookup(sinkOf(k, ref)); exists && outcomes[ref.Name] != export.Forgotten {
			return false
		}
	}
	return true
}

// patchFinalizer changes the finalizers that the API server has, and nothing else.
// It does nothing if that has another object or generation than the one that was
// seen: what is wanted of that is known once it is seen too.
func (t *term) patchFinalizer(ctx context.Context, seen *metav1.ObjectMeta, wanted bool) error {
	kind, k := t.controller.inventoryKind, keyOf(seen)
	live, err := kind.get(ctx, k)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	o, ok := kind.open(live)
	if !ok || o.meta.UID != seen.UID || o.meta.Generation != seen.Generation || hasFinalizer(o.meta) == wanted || wanted && o.meta.DeletionTimestamp != nil {
		return nil
	}
	finalizers := slices.DeleteFunc(slices.Clone(o.meta.Finalizers), func(name string) bool { return name == kollectv1alpha1.FinalizerForget })
	if wanted {
		finalizers = append(finalizers, kollectv1alpha1.FinalizerForget)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": o.meta.ResourceVersion, "finalizers": finalizers,
	}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	if err := kind.patch(ctx, k, patch); !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}

// setProblem notes why an inventory's finalizer is not as it should be.
func (t *term) setProblem(k key, p *problem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p == nil {
		delete(t.problems, k)
	} else {
		t.problems[k] = p
	}
}

func (t *term) problem(k key) *problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problems[k]
}

// deletionChanged reports whether something changed that deleting an inventory
// depends on, beyond its spec.
func deletionChanged(before, after *inventoryObject) bool {
	return before.meta.DeletionTimestamp.IsZero() != after.meta.DeletionTimestamp.IsZero() || hasFinalizer(before.meta) != hasFinalizer(after.meta)
}

// describeForgetting is what is said of an inventory that is being deleted, before
// what its sinks say.
const describeForgetting = "what was exported is removed before the inventory goes; to let it go now, and leave at the sinks what is there, set spec.deletionPolicy to Retain; "
