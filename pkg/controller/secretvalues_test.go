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
