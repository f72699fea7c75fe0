package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

func clusterProfile(name, kind string, attributes ...kollectv1alpha1.Attribute) *kollectv1alpha1.KollectClusterProfile {
	return &kollectv1alpha1.KollectClusterProfile{
		ObjectMeta: named("", name),
		Spec:       kollectv1alpha1.ProfileSpec{Resource: kollectv1alpha1.ResourceReference{Kind: kind}, Attributes: attributes},
	}
}

func clusterTarget(name, profile string) *kollectv1alpha1.KollectClusterTarget {
	return &kollectv1alpha1.KollectClusterTarget{
		ObjectMeta: named("", name),
		Spec:       kollectv1alpha1.TargetSpec{ProfileRef: kollectv1alpha1.ProfileReference{Name: profile}},
	}
}

func (h *harness) told(name string) (collect.Target, bool) {
	t, ok := h.collector.targets[inventory.TargetRef{Name: name}]
	return t, ok
}

// conditionsOf returns what the target's status should be.
func (h *harness) conditionsOf(k key) []metav1.Condition {
	h.Helper()
	h.reconcile(h.reconcileTargetStatus, k)
	o, _ := h.targetKind.lookup(k)
	return h.targetStatus.change(o, func(*kollectv1alpha1.TargetStatus) {}).Conditions
}

func TestTargetIsToldToTheCollectorOnce(t *testing.T) {
	h := newHarness(t, clusterProfile("maps", "ConfigMap", kollectv1alpha1.Attribute{Name: "color", CEL: "object.data.color", Promoted: true}),
		clusterTarget("maps", "maps"))
	k := key{Name: "maps"}
	h.reconcile(h.reconcileProfile, k)
	for range 3 {
		h.reconcile(h.reconcileTarget, k)
	}
	told, ok := h.told("maps")
	if !ok || h.collector.sets != 1 {
		t.Fatalf("told %d times, want once", h.collector.sets)
	}
	if told.Resource.Resource != "configmaps" || !told.Namespaced || !told.Namespaces.All || told.Permitted != nil || len(told.Columns) != 1 {
		t.Errorf("told %+v", told)
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "True", "Ready")

	changed := clusterTarget("maps", "maps")
	changed.Generation, changed.Spec.Names = 2, []string{"one"}
	h.see(changed)
	h.reconcile(h.reconcileTarget, k)
	if again, _ := h.told("maps"); again.Revision == told.Revision || h.collector.sets != 2 {
		t.Errorf("told %d times, of revision %s after %s", h.collector.sets, again.Revision, told.Revision)
	}
	h.lose(h.targetKind.cluster, changed)
	h.reconcile(h.reconcileTarget, k)
	if _, still := h.told("maps"); still {
		t.Error("a deleted target is still collected")
	}
}

func TestSuspendKeepsTheRevision(t *testing.T) {
	h := newHarness(t, clusterProfile("maps", "ConfigMap"), clusterTarget("maps", "maps"))
	k := key{Name: "maps"}
	h.reconcile(h.reconcileProfile, k)
	h.reconcile(h.reconcileTarget, k)
	before, _ := h.told("maps")
	suspended := clusterTarget("maps", "maps")
	suspended.Generation, suspended.Spec.Suspend = 2, true
	h.see(suspended)
	h.reconcile(h.reconcileTarget, k)
	after, _ := h.told("maps")
	if !after.Suspend || after.SuspendReason == "" || after.Revision != before.Revision {
		t.Errorf("told %+v after %+v", after, before)
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "False", "Suspended", "spec.suspend")
}

func TestBrokenTargetKeepsWhatItHad(t *testing.T) {
	for name, breaks := range map[string]struct {
		change func(*harness, *kollectv1alpha1.KollectClusterTarget)
		reason string
		words  string
	}{
		"its match does not compile": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) { o.Spec.Match = "object." }, "InvalidExpression", "spec.match"},
		"its selector is invalid": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) {
			o.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
		}, "InvalidSpec", "spec.selector"},
		"its namespaces are invalid": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) {
			o.Spec.Namespaces = &kollectv1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}}
		}, "InvalidSpec", "spec.namespaces.selector"},
		"its profile is another that does not exist": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) { o.Spec.ProfileRef.Name = "nowhere" }, "ProfileNotFound", "spec.profileRef: there is no KollectClusterProfile nowhere"},
		"its profile's kind is not for it":           {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) { o.Spec.ProfileRef.Kind = "KollectProfile" }, "InvalidSpec", "spec.profileRef.kind"},
		"its profile went": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) {
			h.lose(h.profileKind.cluster, clusterProfile("maps", "ConfigMap"))
			h.reconcile(h.reconcileProfile, key{Name: "maps"})
		}, "ProfileNotFound", "create it"},
		"its profile is about Secrets now": {func(h *harness, o *kollectv1alpha1.KollectClusterTarget) {
			p := clusterProfile("maps", "Secret")
			p.Generation = 2
			h.see(p)
			h.reconcile(h.reconcileProfile, key{Name: "maps"})
		}, "ProfileNotReady", "Secrets are not collected"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, clusterProfile("maps", "ConfigMap"), clusterTarget("maps", "maps"))
			k := key{Name: "maps"}
			h.reconcile(h.reconcileProfile, k)
			h.reconcile(h.reconcileTarget, k)
			before, _ := h.told("maps")

			broken := clusterTarget("maps", "maps")
			broken.Generation = 2
			breaks.change(h, broken)
			h.see(broken)
			h.reconcile(h.reconcileTarget, k)
			after, ok := h.told("maps")
			if !ok || !after.Suspend || after.SuspendReason == "" || after.Revision != before.Revision || after.Resource != before.Resource {
				t.Errorf("told %+v, want what was before, suspended", after)
			}
			wantCondition(t, h.conditionsOf(k), "Ready", "False", breaks.reason, breaks.words)

			// Without anything from before, it waits, and says for what.
			fresh := newHarness(t, broken)
			if p, exists := h.profileKind.lookup(k); exists {
				fresh.see(p.object)
				fresh.reconcile(fresh.reconcileProfile, k)
			}
			fresh.reconcile(fresh.reconcileTarget, k)
			if told, ok := fresh.told("maps"); ok {
				t.Errorf("the collector was told %+v", told)
			}
			wantCondition(t, fresh.conditionsOf(k), "Synced", "False", "NotSynced", breaks.words)
		})
	}
}

func TestAServiceAccountThatIsNotKnownYetHoldsATargetBack(t *testing.T) {
	h := newHarness(t, clusterProfile("maps", "ConfigMap"), &kollectv1alpha1.KollectTarget{
		ObjectMeta: named("a", "maps"),
		Spec:       kollectv1alpha1.TargetSpec{ProfileRef: kollectv1alpha1.ProfileReference{Kind: "KollectClusterProfile", Name: "maps"}},
	})
	h.reconcile(h.reconcileProfile, key{Name: "maps"})
	k, ref := key{"a", "maps"}, inventory.TargetRef{Namespace: "a", Name: "maps"}
	h.reconcile(h.reconcileTarget, k)
	if len(h.collector.targets) != 0 {
		t.Fatal("collected before it is known what the service account may read")
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "Unknown", "AccessUnknown", "a/default")
	q := question{account: key{"a", "default"}, version: "v1", resource: "configmaps", namespace: "a"}
	h.access.note(q, true, nil)
	h.reconcile(h.reconcileTarget, k)
	told := h.collector.targets[ref]
	if told.Permitted == nil || !told.Permitted("a") || told.Permitted("b") {
		t.Errorf("told %+v, want one that may read its own namespace alone", told)
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "True", "Ready")

	// Another account: what the last one could read stands until that is known.
	o, _ := h.targetKind.lookup(k)
	other := o.object.DeepCopyObject().(*kollectv1alpha1.KollectTarget)
	other.Generation, other.Spec.ServiceAccountName = 2, "other"
	h.see(other)
	h.reconcile(h.reconcileTarget, k)
	if h.collector.sets != 1 {
		t.Errorf("told %+v before it is known what the other account may read", h.collector.targets[ref])
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "Unknown", "AccessUnknown", "a/other")
	q.account.Name = "other"
	h.access.note(q, false, nil)
	h.access.answers[q].denied = h.access.answers[q].denied.Add(-time.Hour)
	h.access.note(q, false, nil)
	h.reconcile(h.reconcileTarget, k)
	if told := h.collector.targets[ref]; told.Permitted("a") || told.Suspend {
		t.Errorf("told %+v, want one that may read nothing", told)
	}
	wantCondition(t, h.conditionsOf(k), "Ready", "False", "Forbidden", "a/other", "RoleBinding")
}

func TestFailingAttributesAreShown(t *testing.T) {
	h := newHarness(t, clusterProfile("maps", "ConfigMap"), clusterTarget("maps", "maps"))
	k := key{Name: "maps"}
	h.reconcile(h.reconcileProfile, k)
	h.reconcile(h.reconcileTarget, k)
	h.collector.failures[inventory.TargetRef(k)] = []collect.Failure{
		{Attribute: "color", Reason: extract.NotFound, Message: "spec.attributes[color].cel: no such field", Objects: 3, Namespace: "a", Name: "one"},
	}
	wantCondition(t, h.conditionsOf(k), "Extracted", "False", "NotFound", "spec.attributes[color]", "3 objects", "a/one")
	h.reconcile(h.reconcileProfile, k)
	o, _ := h.profileKind.lookup(k)
	status := h.profileStatus.change(o, func(*kollectv1alpha1.ProfileStatus) {})
	wantCondition(t, status.Conditions, "Extracted", "False", "NotFound", "KollectClusterTarget maps", "color")
	wantCondition(t, status.Conditions, "Ready", "True", "Ready")
}

func TestAProfileShowsNoFailureOfATargetThatLeftIt(t *testing.T) {
	for name, leave := range map[string]func(*harness) *kollectv1alpha1.KollectClusterTarget{
		"deleted": func(h *harness) *kollectv1alpha1.KollectClusterTarget {
			h.lose(h.targetKind.cluster, clusterTarget("maps", "maps"))
			return nil
		},
		"with another profile": func(h *harness) *kollectv1alpha1.KollectClusterTarget {
			o := clusterTarget("maps", "other")
			o.Generation = 2
			h.see(o)
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, clusterProfile("maps", "ConfigMap"), clusterTarget("maps", "maps"))
			k := key{Name: "maps"}
			extracted := func() kollectv1alpha1.ProfileStatus {
				h.reconcile(h.reconcileProfile, k)
				o, _ := h.profileKind.lookup(k)
				return h.profileStatus.change(o, func(*kollectv1alpha1.ProfileStatus) {})
			}
			h.collector.failures[inventory.TargetRef(k)] = []collect.Failure{{Attribute: "color", Reason: extract.NotFound, Message: "no such field", Objects: 1}}
			wantCondition(t, extracted().Conditions, "Extracted", "False", "NotFound")
			before, _ := h.targetKind.lookup(k)
			var after *targetObject
			if o := leave(h); o != nil {
				opened, _ := h.targetKind.open(o)
				after = &opened
			}
			h.targetChanged(k, &before, after)
			if h.profileQueue.Len() != 1 {
				t.Fatalf("%d profiles are looked at, want the former one", h.profileQueue.Len())
			}
			wantCondition(t, extracted().Conditions, "Extracted", "True", "Extracted")
		})
	}
}
