package controller

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// secretsProfile is a profile of Secrets of a generation.
func secretsProfile(generation int64, values kollectv1alpha1.SecretValues) *kollectv1alpha1.KollectClusterProfile {
	p := clusterProfile("secrets", "Secret", kollectv1alpha1.Attribute{Name: "token", CEL: "object.data.token"})
	p.Generation, p.Spec.SecretValues = generation, values
	return p
}

// profileConditions returns what the conditions of a cluster profile should be.
func (h *harness) profileConditions(name string) []metav1.Condition {
	h.Helper()
	o, _ := h.profileKind.lookup(key{Name: name})
	return h.profileStatus.change(o, func(*kollectv1alpha1.ProfileStatus) {}).Conditions
}

func TestSecretsAreCollectedWhereTheProfileAllowsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		values  kollectv1alpha1.SecretValues
		allowed bool
	}{
		"not said": {"", false},
		"refused":  {kollectv1alpha1.SecretValuesRefuse, false},
		"unknown":  {"allow", false},
		"allowed":  {kollectv1alpha1.SecretValuesAllow, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, secretsProfile(1, tc.values), clusterTarget("secrets", "secrets"))
			k := key{Name: "secrets"}
			h.reconcile(h.reconcileProfile, k)
			h.reconcile(h.reconcileTarget, k)
			told, ok := h.told("secrets")
			conditions := h.profileConditions("secrets")
			if !tc.allowed {
				if ok {
					t.Errorf("told %+v", told)
				}
				wantCondition(t, conditions, "Ready", "False", "SecretsRefused", "spec.secretValues", "Allow", "choose another kind")
				wantCondition(t, h.conditionsOf(k), "Ready", "False", "ProfileNotReady", "spec.profileRef", "spec.secretValues")
				if shown := meta.FindStatusCondition(conditions, "SecretValues"); shown != nil {
					t.Errorf("shown as allowed: %+v", shown)
				}
				return
			}
			if !ok || told.Resource.Resource != "secrets" || told.Suspend {
				t.Errorf("told %+v", told)
			}
			wantCondition(t, conditions, "Ready", "True", "Ready")
			wantCondition(t, conditions, "SecretValues", "True", "Allowed", "spec.secretValues", "who may read the rows", "sinks")
			wantCondition(t, h.conditionsOf(k), "Ready", "True", "Ready")
		})
	}
}

func TestAllowedSecretValuesAreNotShownOfAnotherKind(t *testing.T) {
	h := newHarness(t, secretsProfile(1, kollectv1alpha1.SecretValuesAllow))
	k := key{Name: "secrets"}
	h.reconcile(h.reconcileProfile, k)
	maps := secretsProfile(2, "")
	maps.Spec.Resource.Kind = "ConfigMap"
	h.see(maps)
	h.reconcile(h.reconcileProfile, k)
	conditions := h.profileConditions("secrets")
	wantCondition(t, conditions, "Ready", "True", "Ready")
	if shown := meta.FindStatusCondition(conditions, "SecretValues"); shown != nil {
		t.Errorf("shown still: %+v", shown)
	}
}

// What a profile does not allow any more is not kept as other rows of a target
// that can not be collected are.
func TestRowsOfSecretsGoWithTheirPermission(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*harness)
		kept   bool
	}{
		"the profile refuses": {func(h *harness) { h.see(secretsProfile(2, "")) }, false},
		"the profile is of another kind": {func(h *harness) {
			p := clusterProfile("secrets", "ConfigMap")
			p.Spec.Resource.Group, p.Generation = "nowhere", 2
			h.see(p)
		}, false},
		"the profile is deleted": {func(h *harness) { h.lose(h.profileKind.cluster, secretsProfile(1, "")) }, false},
		"the target has no profile": {func(h *harness) {
			o := clusterTarget("secrets", "nowhere")
			o.Generation = 2
			h.see(o)
		}, false},
		"the target is broken": {func(h *harness) {
			o := clusterTarget("secrets", "secrets")
			o.Spec.Match, o.Generation = "object.", 2
			h.see(o)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, secretsProfile(1, kollectv1alpha1.SecretValuesAllow), clusterTarget("secrets", "secrets"))
			k := key{Name: "secrets"}
			h.reconcile(h.reconcileProfile, k)
			h.reconcile(h.reconcileTarget, k)
			tc.change(h)
			h.reconcile(h.reconcileProfile, k)
			for range 2 {
				h.reconcile(h.reconcileTarget, k)
			}
			told, ok := h.told("secrets")
			if !ok || !told.Suspend || h.collector.sets != 2 {
				t.Fatalf("told %d times, last %+v", h.collector.sets, told)
			}
			if kept := told.Permitted == nil || told.Permitted("a"); kept != tc.kept {
				t.Errorf("rows of Secrets are kept: %v, want %v", kept, tc.kept)
			}
			h.see(secretsProfile(3, kollectv1alpha1.SecretValuesAllow))
			o := clusterTarget("secrets", "secrets")
			o.Generation = 3
			h.see(o)
			h.reconcile(h.reconcileProfile, k)
			h.reconcile(h.reconcileTarget, k)
			if again, _ := h.told("secrets"); again.Suspend || again.Permitted != nil {
				t.Errorf("told %+v after all is well", again)
			}
		})
	}
}

func TestATenantsRowsOfSecretsGoAndComeWithTheirPermission(t *testing.T) {
	b := newBounded(t, "Secret", "x", "y")
	profile := func(generation int64, values kollectv1alpha1.SecretValues) {
		p := secretsProfile(generation, values)
		p.Name = "profile"
		b.see(p)
		b.reconcile(b.reconcileProfile, key{Name: "profile"})
		b.reconciled()
	}
	if told, ok := b.told(); ok {
		t.Fatalf("told %+v of a profile that refuses", told)
	}
	profile(2, kollectv1alpha1.SecretValuesAllow)
	b.answer("default", "secrets", true, "x", "y")
	b.wantPermitted(false, "x", "y")
	profile(3, kollectv1alpha1.SecretValuesRefuse)
	b.wantPermitted(true)
	profile(4, kollectv1alpha1.SecretValuesAllow)
	b.answer("default", "secrets", true, "x", "y")
	b.wantPermitted(false, "x", "y")
}
