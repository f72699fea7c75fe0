package controller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

func TestManyNamespacesAreOneChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := &kollectv1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{}}
		selecting := namespacedTarget("a", "selecting", nil)
		selecting.Spec.Namespaces = all
		wide := clusterTarget("wide", "maps")
		wide.Spec.Namespaces = all
		apps := &kollectv1alpha1.KollectClusterInventory{ObjectMeta: named("", "apps")}
		apps.Spec.Namespaces = all
		h := newHarness(t, selecting, namespacedTarget("a", "own", nil), wide, apps,
			&kollectv1alpha1.KollectClusterInventory{ObjectMeta: named("", "of-names")})
		looked := 0
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan struct{})
		go func() {
			defer close(done)
			work(ctx, h.namespaceQueue, 1, func(ctx context.Context, k key) error {
				looked++
				return h.reconcileSelections(ctx, k)
			})
		}()
		for range 1000 {
			h.namespacesChanged()
		}
		pass(10 * selectionDelay)
		cancel()
		<-done
		if looked != 1 {
			t.Errorf("looked at all %d times for one burst of changes, want once", looked)
		}
		drained := func(queue interface {
			Len() int
			Get() (key, bool)
		}) (keys []key) {
			for queue.Len() > 0 {
				k, _ := queue.Get()
				keys = append(keys, k)
			}
			return keys
		}
		got := fmt.Sprint(drained(h.targetQueue), drained(h.inventoryQueue))
		if want := "[a/selecting] [apps]"; got != want {
			t.Errorf("looked at %s, want %s", got, want)
		}
	})
}
