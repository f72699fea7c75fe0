package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	applyv1alpha1 "kollect.io/kollect/pkg/generated/applyconfiguration/kollect/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned/fake"
)

// Conditions and sinks are lists by key: each of two writers keeps its own.
func TestAppliedStatusMergesByKey(t *testing.T) {
	ctx := t.Context()
	inventories := fake.NewClientset(&kollectv1alpha1.KollectInventory{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "apps"},
		Spec:       kollectv1alpha1.InventorySpec{Cluster: "demo"},
	}).KollectV1alpha1().KollectInventories("team-a")
	for manager, sink := range map[string]string{"one": "lake", "two": "portal"} {
		status := applyv1alpha1.InventoryStatus().WithSinks(applyv1alpha1.SinkStatus().WithName(sink).WithRows(3))
		apply := applyv1alpha1.KollectInventory("apps", "team-a").WithStatus(status)
		if _, err := inventories.ApplyStatus(ctx, apply, metav1.ApplyOptions{FieldManager: manager, Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := inventories.Get(ctx, "apps", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, sink := range got.Status.Sinks {
		rows[sink.Name] = sink.Rows
	}
	if diff := cmp.Diff(map[string]int64{"lake": 3, "portal": 3}, rows); diff != "" {
		t.Errorf("sinks (-want +got):\n%s", diff)
	}
	if got.Spec.Cluster != "demo" {
		t.Errorf("spec.cluster became %q", got.Spec.Cluster)
	}
}
