package controller

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

func namespacedTarget(namespace, name string, labels map[string]string) *kollectv1alpha1.KollectTarget {
	meta := named(namespace, name)
	meta.Labels = labels
	return &kollectv1alpha1.KollectTarget{ObjectMeta: meta}
}

func TestInventoriesSelectTargets(t *testing.T) {
	web := map[string]string{"tier": "web"}
	byLabel := &metav1.LabelSelector{MatchLabels: web}
	cluster := clusterTarget("wide", "maps")
	cluster.Labels = web
	for _, tc := range []struct {
		name      string
		namespace string
		spec      kollectv1alpha1.InventorySpec
		want      []string
	}{
		{"all of the namespace", "a", kollectv1alpha1.InventorySpec{}, []string{"a/one", "a/two"}},
		{"by label", "a", kollectv1alpha1.InventorySpec{TargetSelector: byLabel}, []string{"a/one"}},
		{"the empty selector", "a", kollectv1alpha1.InventorySpec{TargetSelector: &metav1.LabelSelector{}}, []string{"a/one", "a/two"}},
		{"none", "c", kollectv1alpha1.InventorySpec{}, nil},
		{"all of the cluster", "", kollectv1alpha1.InventorySpec{}, []string{"wide", "a/one", "a/two", "b/three"}},
		{"of the cluster by label", "", kollectv1alpha1.InventorySpec{TargetSelector: byLabel}, []string{"wide", "a/one"}},
		{"of namespaces", "", kollectv1alpha1.InventorySpec{Namespaces: &kollectv1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{
			MatchLabels: map[string]string{"team": "b"}}}}, []string{"wide", "b/three"}},
		{"of named namespaces", "", kollectv1alpha1.InventorySpec{Namespaces: &kollectv1alpha1.NamespaceSelection{Names: []string{"a"}}}, []string{"wide", "a/one", "a/two"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHarness(t, namespacedTarget("a", "one", web), namespacedTarget("a", "two", nil), namespacedTarget("b", "three", nil), cluster.DeepCopy())
			h.see(namespaceOf("a", nil))
			h.see(namespaceOf("b", map[string]string{"team": "b"}))
			o := inventoryObject{meta: &metav1.ObjectMeta{Namespace: tc.namespace, Name: "apps"}, spec: &tc.spec}
			def, problem := h.define(o)
			if problem != nil {
				t.Fatal(problem.message)
			}
			var got []string
			for _, ref := range def.Targets {
				got = append(got, ref.String())
			}
			if !slices.Equal(got, tc.want) || def.Cluster != "test" {
				t.Errorf("targets %v of cluster %s, want %v of test", got, def.Cluster, tc.want)
			}
		})
	}
}

func TestAnInventoryThatIsNotValidKeepsItsSnapshot(t *testing.T) {
	o := &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")}
	h := newHarness(t, o, namespacedTarget("a", "one", nil))
	k, ref := key{"a", "apps"}, inventory.Ref{Namespace: "a", Name: "apps"}
	h.reconcile(h.reconcileInventory, k)
	before := h.store.State().Snapshot(ref)
	if before == nil || len(before.Inventory().Targets) != 1 {
		t.Fatalf("snapshot %+v, want one of one target", before)
	}
	if before.Head().Synced() {
		t.Error("the inventory is synced before its target is")
	}
	broken := o.DeepCopy()
	broken.Generation = 2
	broken.Spec.TargetSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
	h.see(broken)
	h.reconcile(h.reconcileInventory, k)
	h.reconcile(h.reconcileInventoryStatus, k)
	after := h.store.State().Snapshot(ref)
	if after == nil || len(after.Inventory().Targets) != 1 || after.Inventory().SpecGeneration != 1 {
		t.Errorf("snapshot %+v, want the one from before", after)
	}
	opened, _ := h.inventoryKind.lookup(k)
	status := h.inventoryStatus.change(opened, func(*kollectv1alpha1.InventoryStatus) {})
	wantCondition(t, status.Conditions, "Ready", "False", "InvalidSpec", "spec.targetSelector")
	wantCondition(t, status.Conditions, "Synced", "False", "NotSynced", "waiting for targets a/one")
	if i := slices.IndexFunc(after.Head().Conditions, func(c inventory.Condition) bool { return c.Type == "Ready" && c.Status == "False" }); i < 0 {
		t.Errorf("the head shows %+v, want that it is not ready", after.Head().Conditions)
	}
	h.lose(h.inventoryKind.namespaced, broken)
	h.reconcile(h.reconcileInventory, k)
	if gone := h.store.State().Snapshot(ref); gone != nil {
		t.Error("the deleted inventory is still there")
	}
}

func TestNoInventoryWaitsForADeletedTarget(t *testing.T) {
	one, two := namespacedTarget("a", "one", nil), namespacedTarget("a", "two", nil)
	h := newHarness(t, &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")},
		&kollectv1alpha1.KollectClusterInventory{ObjectMeta: named("", "all")}, one, two)
	h.reconcile(h.reconcileInventory, key{"a", "apps"})
	h.reconcile(h.reconcileInventory, key{"", "all"})
	h.store.Update(func(tx *inventory.Tx) {
		tx.SetTargetState(inventory.TargetRef{Namespace: "a", Name: "one"}, inventory.TargetState{Synced: true})
		tx.SetTargetState(inventory.TargetRef{Namespace: "a", Name: "two"}, inventory.TargetState{Synced: true})
	})
	cursor, err := h.store.Follow(h.store.State().Version)
	if err != nil {
		t.Fatal(err)
	}
	h.lose(h.targetKind.namespaced, two)
	h.reconcile(h.reconcileTarget, key{"a", "two"})
	heads := 0
	for done := false; !done; {
		select {
		case <-cursor.Ready():
			events, _ := cursor.Next()
			for _, e := range events {
				if e.HeadAfter != nil {
					heads++
					if !e.HeadAfter.Synced() {
						t.Errorf("inventory %s waits for a target that is gone", e.Inventory.Ref)
					}
				}
			}
		default:
			done = true
		}
	}
	if heads != 2 {
		t.Errorf("%d heads changed, want 2", heads)
	}
	if targets := h.store.State().Snapshot(inventory.Ref{Namespace: "a", Name: "apps"}).Inventory().Targets; len(targets) != 1 {
		t.Errorf("the inventory selects %v", targets)
	}
}

// Who does not lead shows what the leader wrote.
func TestAFollowerShowsWhatTheStatusSays(t *testing.T) {
	o := &kollectv1alpha1.KollectInventory{ObjectMeta: named("a", "apps")}
	o.Status.Generation, o.Status.ContentHash = 42, "sha256:x"
	o.Status.Sinks = []kollectv1alpha1.SinkStatus{{Name: "lake", Generation: 42, Rows: 7, LastError: "it is down"}}
	setCondition(&o.Status.Conditions, 1, "Exported", "False", "Failed", "sink lake: it is down")
	h := newHarness(t, o)
	k := key{"a", "apps"}
	h.reconcile(h.reconcileInventory, k)
	h.reconcile(h.reconcileInventoryStatus, k)
	head := h.store.State().Snapshot(inventory.Ref(k)).Head()
	if head.Generation != 42 || len(head.Sinks) != 1 || head.Sinks[0].Rows != 7 || head.Sinks[0].LastError != "it is down" {
		t.Errorf("the head shows %+v", head.Status)
	}
	if i := slices.IndexFunc(head.Conditions, func(c inventory.Condition) bool { return c.Type == "Exported" && c.Status == "False" }); i < 0 {
		t.Errorf("the head shows %+v, want that it is not exported", head.Conditions)
	}
}

func TestOneConditionOfAllSinks(t *testing.T) {
	type add struct {
		sink, reason, message string
		good                  bool
	}
	for _, tc := range []struct {
		name    string
		adds    []add
		before  metav1.ConditionStatus
		changed int64 // generations since before
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		{"no sinks", nil, "", 0, "True", "NoSinks", "spec.sinkRefs"},
		{"all well", []add{{"a", "Exported", "", true}, {"b", "Delayed", "", true}}, "", 0, "True", "Exported", "every sink"},
		{"one fails", []add{{"a", "Exported", "", true}, {"b", "Failed", "it is down", false}}, "True", 0, "False", "Failed", "sink b: it is down"},
		{"two fail", []add{{"a", "Fenced", "x", false}, {"b", "Failed", "y", false}}, "", 0, "False", "Fenced", "sink a: x; sink b: y"},
		{"one is pending and one fails", []add{{"a", "Pending", "soon", false}, {"b", "Failed", "y", false}}, "True", 0, "False", "Failed", "sink b: y"},
		{"pending at first", []add{{"a", "Pending", "soon", false}}, "", 0, "False", "Pending", "soon"},
		{"pending in a new term", []add{{"a", "Pending", "soon", false}}, "True", 0, "True", "before", ""},
		{"pending after a change", []add{{"a", "Pending", "soon", false}}, "True", 1, "False", "Pending", "soon"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &kollectv1alpha1.InventoryStatus{}
			if tc.before != "" {
				setCondition(&s.Conditions, 1, "Exported", tc.before, "before", "")
			}
			worst := worstOutcome{}
			for _, a := range tc.adds {
				worst.add(a.sink, a.reason, a.message, a.good)
			}
			worst.set(s, 1+tc.changed)
			wantCondition(t, s.Conditions, "Exported", tc.status, tc.reason, tc.message)
		})
	}
}

func TestSomeNamesTheFirstFew(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "n0", 2: "n0, n1", 3: "n0, n1 and 1 more", 100: "n0, n1 and 98 more"} {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprint("n", i))
		}
		if got := some(items, 2, ", "); got != want {
			t.Errorf("%d items: %q, want %q", n, got, want)
		}
	}
}
