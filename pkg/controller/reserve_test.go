package controller

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

func TestReservationsRiseInTheStatus(t *testing.T) {
	for _, twin := range []runtime.Object{
		&kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")},
		&kollectv1alpha1.KollectClusterInventory{ObjectMeta: named("", "apps")},
	} {
		h := newHarness(t, twin)
		o, _ := h.inventoryKind.open(twin)
		leads := true
		r := &reserver{kind: h.inventoryKind, leading: func(context.Context) (bool, error) { return leads, nil }}
		of := &inventory.Inventory{Ref: inventory.Ref(keyOf(o.meta)), UID: string(o.meta.UID)}
		reserve := func(atLeast, want, reserved int64) {
			t.Helper()
			first, err := r.Reserve(t.Context(), of, atLeast, 100)
			if err != nil || first != want {
				t.Fatalf("reserved from %d, %v; want %d", first, err, want)
			}
			live, err := h.inventoryKind.get(t.Context(), keyOf(o.meta))
			if err != nil {
				t.Fatal(err)
			}
			opened, _ := h.inventoryKind.open(live)
			if got := opened.status.ReservedGeneration; got != reserved {
				t.Errorf("the status has %d, want %d", got, reserved)
			}
		}
		reserve(1, 1, 100)
		reserve(1, 101, 200)
		reserve(1000, 1000, 1099)
		reserve(5, 1100, 1199)
		conflicts := 2
		h.kollect.PrependReactor("update", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
			if conflicts--; conflicts >= 0 {
				return true, nil, apierrors.NewConflict(kollectv1alpha1.Resource("inventories"), "apps", errors.New("changed"))
			}
			return false, nil, nil
		})
		reserve(1, 1200, 1299)

		leads = false
		if first, err := r.Reserve(t.Context(), of, 1, 100); err == nil {
			t.Errorf("reserved from %d without leading", first)
		}
		leads = true
		of.UID = "another"
		if first, err := r.Reserve(t.Context(), of, 1, 100); err == nil || !strings.Contains(err.Error(), "gone") {
			t.Errorf("reserved from %d, %v, of an inventory that was made again", first, err)
		}
	}
}

// Two that reserve at the same time get different generations, because the API
// server lets one of them write.
func TestAReservationThatLostIsMadeAgain(t *testing.T) {
	h := newHarness(t, &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")})
	resource := kollectv1alpha1.SchemeGroupVersion.WithResource("kollectinventories")
	other := false
	h.kollect.PrependReactor("update", "kollectinventories", func(clienttesting.Action) (bool, runtime.Object, error) {
		if other {
			return false, nil, nil
		}
		other = true
		tracked, err := h.kollect.Tracker().Get(resource, "a", "apps")
		if err != nil {
			t.Fatal(err)
		}
		live := tracked.DeepCopyObject().(*kollectv1alpha1.KollectInventory)
		live.Status.ReservedGeneration = 100
		if err := h.kollect.Tracker().Update(resource, live, "a"); err != nil {
			t.Fatal(err)
		}
		return true, nil, apierrors.NewConflict(kollectv1alpha1.Resource("kollectinventories"), "apps", errors.New("changed"))
	})
	r := &reserver{kind: h.inventoryKind, leading: func(context.Context) (bool, error) { return true, nil }}
	first, err := r.Reserve(t.Context(), &inventory.Inventory{Ref: inventory.Ref{Namespace: "a", Name: "apps"}, UID: "uid-apps"}, 1, 100)
	if err != nil || first != 101 {
		t.Errorf("reserved from %d, %v; want 101", first, err)
	}
}
