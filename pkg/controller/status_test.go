package controller

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// statusHarness writes the statuses of one inventory.
type statusHarness struct {
	*harness
	key    key
	writes atomic.Int32
}

func newStatusHarness(t *testing.T) *statusHarness {
	h := &statusHarness{key: key{"a", "apps"}}
	h.harness = newHarness(t, &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")})
	h.kollect.PrependReactor("update", "kollectinventories", func(action clienttesting.Action) (bool, runtime.Object, error) {
		h.writes.Add(1)
		return false, nil, nil
	})
	return h
}

// run writes statuses until the test ends.
func (h *statusHarness) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.inventoryStatus.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	synctest.Wait()
}

func (h *statusHarness) change(change func(*kollectv1alpha1.InventoryStatus)) {
	h.Helper()
	o, exists := h.inventoryKind.lookup(h.key)
	if !exists {
		h.Fatal("there is no inventory")
	}
	h.inventoryStatus.change(o, change)
	synctest.Wait()
	h.watch()
}

// live is what the API server has.
func (h *statusHarness) live() *kollectv1alpha1.KollectInventory {
	h.Helper()
	o, err := h.kollect.KollectV1alpha1().KollectInventories("a").Get(h.Context(), "apps", metav1.GetOptions{})
	if err != nil {
		h.Fatal(err)
	}
	return o
}

// watch makes the informer see what the API server has.
func (h *statusHarness) watch() { h.see(h.live()) }

func (h *statusHarness) wait(d time.Duration) {
	pass(d)
	h.watch()
}

func (h *statusHarness) wantWrites(want int) {
	h.Helper()
	if got := int(h.writes.Load()); got != want {
		h.Errorf("%d writes, want %d", got, want)
	}
}

func TestStatusIsWrittenSeldomUnlessAConditionChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newStatusHarness(t)
		ready := func(s *kollectv1alpha1.InventoryStatus) {
			setCondition(&s.Conditions, 1, "Ready", metav1.ConditionTrue, "Ready", "yes")
		}
		h.change(ready)
		h.wantWrites(0) // another process leads
		h.run(t)
		h.watch()
		h.wantWrites(1)
		for i := range 20 {
			h.change(func(s *kollectv1alpha1.InventoryStatus) { s.Rows = int64(i) })
			h.wait(100 * time.Millisecond)
		}
		h.wantWrites(1)
		h.wait(10 * time.Second)
		h.wantWrites(2)
		if got := h.live().Status.Rows; got != 19 {
			t.Errorf("%d rows are shown, want the last count", got)
		}
		h.change(ready) // nothing new, an hour later
		h.wait(time.Hour)
		h.wantWrites(2)
		h.change(func(s *kollectv1alpha1.InventoryStatus) { s.Rows = 100 })
		h.wantWrites(3)
		h.change(func(s *kollectv1alpha1.InventoryStatus) {
			setCondition(&s.Conditions, 1, "Ready", metav1.ConditionFalse, "InvalidSpec", "no")
		})
		h.wantWrites(4)
	})
}

func TestTimesOfSuccessAloneAreWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newStatusHarness(t)
		h.run(t)
		success := func() {
			h.change(func(s *kollectv1alpha1.InventoryStatus) {
				s.Sinks = []kollectv1alpha1.SinkStatus{{Name: "lake", Generation: 1, LastSuccessTime: metaTime(time.Now())}}
			})
		}
		for range 120 { // an hour
			success()
			h.wait(30 * time.Second)
		}
		if writes := h.writes.Load(); writes < 10 || writes > 14 {
			t.Errorf("%d writes in an hour of confirmations, want about 12", writes)
		}
	})
}

func TestConflictsKeepWhatOthersWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newStatusHarness(t)
		reserved := h.live()
		reserved.Status.ReservedGeneration = 200
		if _, err := h.kollect.KollectV1alpha1().KollectInventories("a").UpdateStatus(t.Context(), reserved, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		conflicts := 1
		h.kollect.PrependReactor("update", "kollectinventories", func(clienttesting.Action) (bool, runtime.Object, error) {
			if conflicts--; conflicts >= 0 {
				return true, nil, apierrors.NewConflict(kollectv1alpha1.Resource("kollectinventories"), "apps", errors.New("changed"))
			}
			return false, nil, nil
		})
		o, _ := h.inventoryKind.lookup(h.key) // as it was before the reservation
		h.inventoryStatus.change(o, func(s *kollectv1alpha1.InventoryStatus) { s.Rows = 7 })
		h.run(t)
		if got := h.live().Status; got.ReservedGeneration != 200 || got.Rows != 7 {
			t.Errorf("status %+v, want 7 rows and the reservation", got)
		}
	})
}

func TestStatusOfAnObjectMadeAgainStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newStatusHarness(t)
		h.change(func(s *kollectv1alpha1.InventoryStatus) { s.Generation = 9 })
		again := &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")}
		again.UID = "another"
		h.see(again)
		h.run(t)
		h.wantWrites(0)
		o, _ := h.inventoryKind.lookup(h.key)
		if got := h.inventoryStatus.change(o, func(*kollectv1alpha1.InventoryStatus) {}); got.Generation != 0 {
			t.Errorf("the new object has generation %d", got.Generation)
		}
	})
}

func TestTransitionsAreEvents(t *testing.T) {
	condition := func(name string, status metav1.ConditionStatus, reason string) *metav1.Condition {
		return &metav1.Condition{Type: name, Status: status, Reason: reason, Message: "the message"}
	}
	for _, tc := range []struct {
		name          string
		before, after *metav1.Condition
		want          string
	}{
		{"ready at first", nil, condition("Ready", "True", "Ready"), "Normal Ready"},
		{"not ready at first", nil, condition("Ready", "False", "InvalidSpec"), "Warning InvalidSpec"},
		{"another reason", condition("Ready", "False", "InvalidSpec"), condition("Ready", "False", "Forbidden"), "Warning Forbidden"},
		{"mended", condition("Ready", "False", "Forbidden"), condition("Ready", "True", "Ready"), "Normal Ready"},
		{"exported again, which is told for each sink", condition("Exported", "False", "Failed"), condition("Exported", "True", "Exported"), ""},
		{"extracted at first", nil, condition("Extracted", "True", "Extracted"), ""},
		{"fresh at first", nil, condition("Stale", "False", "Fresh"), ""},
		{"stale", condition("Stale", "False", "Fresh"), condition("Stale", "True", "Stale"), "Warning Stale"},
		{"fresh again", condition("Stale", "True", "Stale"), condition("Stale", "False", "Fresh"), "Normal Fresh"},
		{"synced", condition("Synced", "False", "NotSynced"), condition("Synced", "True", "Synced"), ""},
		{"about to be exported", nil, condition("Exported", "False", "Pending"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHarness(t)
			h.event(&kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")}, transition{tc.before, *tc.after})
			got := ""
			select {
			case got = <-h.recorder.Events:
			default:
			}
			if !strings.HasPrefix(got, tc.want) || (got == "") != (tc.want == "") {
				t.Errorf("event %q, want %q", got, tc.want)
			}
		})
	}
}
