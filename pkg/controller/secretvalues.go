package controller

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

const reasonSecretValuesAllowed = "Allowed"

func areSecrets(r *inventory.Resource) bool { return r.Group == "" && r.Resource == "secrets" }

// refuseSecrets returns why a profile may not be of the resource that was found,
// or nil. Which parts of an object an expression takes is not looked at: an
// annotation may hold all of the values, and a test of a value tells of it.
func refuseSecrets(spec *kollectv1alpha1.ProfileSpec, found *resolved) *problem {
	if !areSecrets(&found.Resource) || spec.SecretValues == kollectv1alpha1.SecretValuesAllow {
		return nil
	}
	return problemf(reasonSecretsRefused, "spec.secretValues: Secrets are not collected unless it is Allow, "+
		"which shows what the expressions take from them to everybody who may read the rows, and sends it to the sinks: "+
		"set it, or choose another kind in spec.resource")
}

// allowsSecretValues reports whether the profile that a target names, as it is
// now, lets rows of Secrets be.
func (c *Controller) allowsSecretValues(target targetObject) bool {
	k, problem := profileOf(target)
	if problem != nil {
		return false
	}
	o, exists := c.profileKind.lookup(k)
	return exists && o.spec.SecretValues == kollectv1alpha1.SecretValuesAllow
}

// setSecretValues shows that a profile is let take the values of Secrets.
func setSecretValues(conditions *[]metav1.Condition, generation int64, p *profile) {
	if p.resource == nil || !areSecrets(&p.resource.Resource) {
		meta.RemoveStatusCondition(conditions, kollectv1alpha1.ConditionSecretValues)
		return
	}
	setCondition(conditions, generation, kollectv1alpha1.ConditionSecretValues, metav1.ConditionTrue, reasonSecretValuesAllowed,
		"spec.secretValues is Allow: what the expressions take from Secrets is shown to everybody who may read the rows, and sent to the sinks")
}
