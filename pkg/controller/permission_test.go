package controller

import (
	"errors"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/inventory"
)

// bounded is a target of ConfigMaps in the namespaces, with those it may read.
type bounded struct {
	*harness
	object *kollectv1alpha1.KollectTarget
}

func newBounded(t *testing.T, kind string, namespaces ...string) *bounded {
	t.Helper()
	b := &bounded{object: &kollectv1alpha1.KollectTarget{
		ObjectMeta: named("a", "bounded"),
		Spec: kollectv1alpha1.TargetSpec{
			ProfileRef: kollectv1alpha1.ProfileReference{Kind: "KollectClusterProfile", Name: "profile"},
			Namespaces: &kollectv1alpha1.NamespaceSelection{Names: namespaces},
		},
	}}
	b.harness = newHarness(t, clusterProfile("profile", kind), b.object)
	b.reconcile(b.reconcileProfile, key{Name: "profile"})
	b.reconciled()
	return b
}

func (b *bounded) reconciled() {
	b.Helper()
	b.reconcile(b.reconcileTarget, keyOf(&b.object.ObjectMeta))
}

// change changes the target's spec.
func (b *bounded) change(change func(*kollectv1alpha1.TargetSpec)) {
	b.Helper()
	b.object = b.object.DeepCopy()
	b.object.Generation++
	change(&b.object.Spec)
	b.see(b.object)
	b.reconciled()
}

// answer answers what the account may read in the namespaces, for good.
func (b *bounded) answer(account, resource string, allowed bool, namespaces ...string) {
	b.Helper()
	for _, namespace := range namespaces {
		q := question{account: key{"a", account}, version: "v1", resource: resource, namespace: namespace}
		b.access.note(q, allowed, nil)
		if known := b.access.answers[q]; known != nil && !allowed {
			known.denied = known.denied.Add(-time.Hour)
			b.access.note(q, allowed, nil)
		}
	}
	b.reconciled()
}

func (b *bounded) told() (collect.Target, bool) {
	told, ok := b.collector.targets[inventory.TargetRef(keyOf(&b.object.ObjectMeta))]
	return told, ok
}

// wantPermitted checks which of the namespaces the collector is to collect from.
func (b *bounded) wantPermitted(suspended bool, want ...string) {
	b.Helper()
	told, ok := b.told()
	if !ok {
		b.Fatalf("the collector was told nothing, want a target of %v", want)
	}
	var got []string
	for _, namespace := range []string{"", "x", "y", "z"} {
		if told.Permitted(namespace) {
			got = append(got, namespace)
		}
	}
	if !slices.Equal(got, want) || told.Suspend != suspended {
		b.Errorf("permitted in %q, suspended: %v; want %q, %v", got, told.Suspend, want, suspended)
	}
}

func TestABrokenTargetLosesWhatItMayNotReadAnyMore(t *testing.T) {
	for name, breaks := range map[string]func(*kollectv1alpha1.TargetSpec){
		"no profile": func(s *kollectv1alpha1.TargetSpec) { s.ProfileRef.Name = "nowhere" },
		"selector": func(s *kollectv1alpha1.TargetSpec) {
			s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
		},
		"match":                       func(s *kollectv1alpha1.TargetSpec) { s.Match = "object." },
		"match, with another account": func(s *kollectv1alpha1.TargetSpec) { s.Match, s.ServiceAccountName = "object.", "other" },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBounded(t, "ConfigMap", "x", "y")
			b.answer("default", "configmaps", true, "x", "y")
			b.wantPermitted(false, "x", "y")
			b.change(breaks)
			b.wantPermitted(true, "x", "y")
			b.answer("default", "configmaps", false, "y")
			b.wantPermitted(true, "x")
			b.answer("default", "configmaps", false, "x")
			b.wantPermitted(true)
		})
	}
}

func TestARevokedRightToAResourceWithoutNamespacesIsTold(t *testing.T) {
	b := newBounded(t, "Node")
	b.answer("default", "nodes", true, "")
	b.wantPermitted(false, "")
	b.answer("default", "nodes", false, "")
	b.wantPermitted(false)
}

func TestANamespaceThatIsNotKnownYetBlocksNothingElse(t *testing.T) {
	b := newBounded(t, "ConfigMap", "x", "y")
	b.answer("default", "configmaps", true, "x")
	if told, ok := b.told(); ok {
		t.Fatalf("told %+v: a first list without a namespace would take its rows away", told)
	}
	b.answer("default", "configmaps", true, "y")
	k := keyOf(&b.object.ObjectMeta)
	ready := func(status metav1.ConditionStatus, reason string, words ...string) {
		t.Helper()
		wantCondition(t, b.conditionsOf(k), "Ready", status, reason, words...)
	}
	ready("True", "Ready")
	before, _ := b.told()

	b.change(func(s *kollectv1alpha1.TargetSpec) {
		s.Names = []string{"one"}
		s.Namespaces.Names = []string{"x", "y", "z"}
	})
	b.wantPermitted(false, "x", "y")
	if after, _ := b.told(); after.Revision == before.Revision {
		t.Error("the change of the spec waits for the new namespace")
	}
	ready("True", "Ready") // z is asked a moment from now
	b.answer("default", "configmaps", false, "y")
	b.wantPermitted(false, "x")
	ready("False", "PartlyForbidden", "in y:")
	b.answer("default", "configmaps", true, "y", "z")
	b.wantPermitted(false, "x", "y", "z")
	ready("True", "Ready")
}

func TestANamespaceThatCanNotBeAskedForIsShown(t *testing.T) {
	b := newBounded(t, "ConfigMap", "x", "y")
	b.answer("default", "configmaps", true, "x", "y")
	b.change(func(s *kollectv1alpha1.TargetSpec) { s.Namespaces.Names = []string{"x", "z"} })
	b.access.note(question{account: key{"a", "default"}, version: "v1", resource: "configmaps", namespace: "z"}, false, errors.New("connection refused"))
	b.reconciled()
	b.wantPermitted(false, "x")
	wantCondition(t, b.conditionsOf(keyOf(&b.object.ObjectMeta)), "Ready", "Unknown", "AccessUnknown", "in z ", "connection refused")
}

func TestPermissionsOfManyNamespacesStandWhileAllAreAskedForAtOnce(t *testing.T) {
	b := newBounded(t, "ConfigMap", "x", "y")
	b.answer("default", "configmaps", true, "x", "y")
	b.change(func(s *kollectv1alpha1.TargetSpec) { s.Namespaces.Names = []string{"x", "y", "z", "u", "v"} })
	b.wantPermitted(false, "x", "y")
	b.answer("default", "configmaps", false, "") // not in all of them
	b.wantPermitted(false, "x", "y")
	b.answer("default", "configmaps", true, "x", "y", "z", "u", "v")
	b.wantPermitted(false, "x", "y", "z")
}

func TestATargetMadeAgainInheritsNothing(t *testing.T) {
	b := newBounded(t, "ConfigMap", "x", "y")
	b.answer("default", "configmaps", true, "x", "y")
	b.object = b.object.DeepCopy()
	b.object.UID, b.object.Spec.ProfileRef.Name = "another", "nowhere"
	b.see(b.object)
	b.reconciled()
	if told, ok := b.told(); ok {
		t.Errorf("the former target is collected as %+v", told)
	}
	b.change(func(s *kollectv1alpha1.TargetSpec) {
		s.ProfileRef.Name, s.Namespaces.Names = "profile", []string{"x", "z"}
	})
	if told, ok := b.told(); ok {
		t.Errorf("told %+v before its first answers", told)
	}
	b.answer("default", "configmaps", true, "x", "z")
	b.wantPermitted(false, "x", "z")
}
