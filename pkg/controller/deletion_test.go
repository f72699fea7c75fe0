package controller

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/retry"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// changeInventory changes the inventory that goes to the sink lake, also while the
// controller writes its status or finalizers, and shows it to the informer.
func (h *harness) changeInventory(change func(*kollectv1alpha1.KollectInventory)) {
	h.Helper()
	inventories := h.kollect.KollectV1alpha1().KollectInventories("a")
	var o *kollectv1alpha1.KollectInventory
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var err error
		if o, err = inventories.Get(h.Context(), "apps", metav1.GetOptions{}); err != nil {
			return err
		}
		change(o)
		o.Generation++
		o, err = inventories.Update(h.Context(), o, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	h.see(o)
	h.reconcile(h.reconcileInventory, key{"a", "apps"})
	pass(5 * time.Second)
}

func deleteWithData(o *kollectv1alpha1.KollectInventory) {
	o.Spec.DeletionPolicy = kollectv1alpha1.DeletionDelete
}

func markDeleted(o *kollectv1alpha1.KollectInventory) {
	now := metav1.Now()
	o.DeletionTimestamp = &now
}

// finalizers returns what the API server has, and shows it to the informer.
func (h *harness) finalizers() []string {
	h.Helper()
	o, err := h.kollect.KollectV1alpha1().KollectInventories("a").Get(h.Context(), "apps", metav1.GetOptions{})
	if err != nil {
		h.Fatal(err)
	}
	h.see(o)
	return o.Finalizers
}

func (h *harness) wantFinalizers(want ...string) {
	h.Helper()
	if got := h.finalizers(); !slices.Equal(got, want) {
		h.Errorf("finalizers %v, want %v", got, want)
	}
}

var apps = inventory.Ref{Namespace: "a", Name: "apps"}

func TestAFinalizerFollowsTheDeletionPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := leading(t, objectStoreSink(nil), func(*harness) {})
		h.wantFinalizers()
		h.changeInventory(func(o *kollectv1alpha1.KollectInventory) {
			deleteWithData(o)
			o.Finalizers = []string{"example.com/other"}
		})
		h.wantFinalizers("example.com/other", "kollect.io/forget")
		wantCondition(t, h.exported().Conditions, "Ready", "True", "Ready")
		h.changeInventory(func(o *kollectv1alpha1.KollectInventory) { o.Spec.DeletionPolicy = kollectv1alpha1.DeletionRetain })
		h.wantFinalizers("example.com/other")
	})
}

func TestADeletedInventoryTakesItsExportsAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		h.changeInventory(deleteWithData)
		h.wantFinalizers("kollect.io/forget")
		store := sinks.sinks[0]
		store.set(func() { store.down = errors.New("dial https://user:hidden@lake: refused") })
		h.changeInventory(markDeleted)
		h.wantFinalizers("kollect.io/forget")
		status := h.exported()
		wantCondition(t, status.Conditions, "Exported", "False", "Failed", "set spec.deletionPolicy to Retain", "sink lake", "dial https://lake: refused")
		if store.mark(apps).Generation != 1 {
			t.Errorf("the sink holds %+v, want generation 1", store.mark(apps))
		}
		store.set(func() { store.down = nil })
		pass(10 * time.Minute)
		if mark := store.mark(apps); !mark.Forgotten || mark.Generation <= 1 {
			t.Errorf("the sink holds %+v, want nothing, under a newer generation", mark)
		}
		h.wantFinalizers()
		h.seeForgotten(store)
	})
}

// seeForgotten checks that nothing is exported while the object is still there.
func (h *harness) seeForgotten(store *memorySink) {
	h.Helper()
	before := store.mark(apps)
	h.changeInventory(func(o *kollectv1alpha1.KollectInventory) {
		o.Finalizers = []string{"kollect.io/forget"} // as a cache that is behind has it
	})
	if after := store.mark(apps); !after.Forgotten {
		h.Errorf("the sink held %+v, and holds %+v then", before, after)
	}
}

func TestWaysOutOfADeletion(t *testing.T) {
	for name, out := range map[string]func(*harness){
		"the policy is Retain": func(h *harness) {
			h.changeInventory(func(o *kollectv1alpha1.KollectInventory) { o.Spec.DeletionPolicy = kollectv1alpha1.DeletionRetain })
		},
		"the sink is deleted": func(h *harness) {
			h.lose(h.sinkKind.namespaced, objectStoreSink(nil))
			h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
			pass(5 * time.Second)
		},
		"the sink is not named any more": func(h *harness) {
			h.changeInventory(func(o *kollectv1alpha1.KollectInventory) { o.Spec.SinkRefs = nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
				store := sinks.sinks[0]
				h.changeInventory(deleteWithData)
				h.finalizers()
				store.set(func() { store.down = errors.New("it is down") })
				h.changeInventory(markDeleted)
				h.wantFinalizers("kollect.io/forget")
				out(h)
				h.wantFinalizers()
				if mark := store.mark(apps); mark.Forgotten || mark.Generation != 1 {
					t.Errorf("the sink holds %+v, want what it held", mark)
				}
			})
		})
	}
}

// A sink that can not be opened is waited for.
func TestADeletionWaitsForASinkThatIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		h.changeInventory(deleteWithData)
		h.finalizers()
		changed := objectStoreSink(nil)
		changed.Generation, changed.UID = 2, "another"
		sinks.fail(errors.New("no such bucket"))
		h.see(changed)
		h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
		pass(5 * time.Second)
		h.changeInventory(markDeleted)
		h.wantFinalizers("kollect.io/forget")
		wantCondition(t, h.exported().Conditions, "Exported", "False", "SinkNotReady", "no such bucket", "Retain")
		sinks.fail(nil)
		pass(5 * time.Minute)
		h.wantFinalizers()
	})
}

func TestAFinalizerThatMayNotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(h *harness) {
			h.kollect.PrependReactor("patch", "kollectinventories", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(kollectv1alpha1.Resource("kollectinventories"), "apps", errors.New("no"))
			})
		})
		h.changeInventory(deleteWithData)
		status := h.exported()
		wantCondition(t, status.Conditions, "Ready", "False", "FinalizerForbidden", "spec.deletionPolicy", "patch KollectInventory objects", "Retain")
		wantCondition(t, status.Conditions, "Exported", "True", "Exported")
		if mark := sinks.sinks[0].mark(apps); mark.Generation != 1 {
			t.Errorf("the sink holds %+v, want generation 1", mark)
		}
	})
}

// An inventory was Retain for a moment, and is Delete again and deleted.
func TestAFinalizerStaysWhileTheCacheIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		h.changeInventory(deleteWithData)
		h.finalizers()
		sinks.sinks[0].set(func() { sinks.sinks[0].down = errors.New("it is down") })
		o, _ := h.inventoryKind.lookup(key{"a", "apps"})
		behind := o.object.DeepCopyObject().(*kollectv1alpha1.KollectInventory)
		behind.Spec.DeletionPolicy = kollectv1alpha1.DeletionRetain
		behind.Generation++
		h.changeInventory(func(o *kollectv1alpha1.KollectInventory) { o.Generation += 2; markDeleted(o) })
		h.see(behind)
		h.pokePairs(key{"a", "apps"})
		pass(5 * time.Second)
		h.wantFinalizers("kollect.io/forget")
	})
}
