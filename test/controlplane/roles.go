package controlplane

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// AggregateClusterRoles gives every aggregating ClusterRole the rules of the
// roles that it selects, as the controller manager of a cluster does all the
// time. A control plane does it once it is ready, so that admin, edit and view
// say something; call it again after roles that matter were changed.
func (cp *ControlPlane) AggregateClusterRoles(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(cp.admin)
	if err != nil {
		return fmt.Errorf("aggregate cluster roles: %w", err)
	}
	list, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("aggregate cluster roles: %w", err)
	}
	// An aggregating role may select another, which is to be filled before.
	for range list.Items {
		changed := false
		for i := range list.Items {
			role := &list.Items[i]
			rules, err := aggregatedRules(role, list.Items)
			if err != nil {
				return fmt.Errorf("aggregate cluster role %s: %w", role.Name, err)
			}
			if role.AggregationRule == nil || equalRules(rules, role.Rules) {
				continue
			}
			role.Rules = rules
			updated, err := client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
			if err != nil {
				return fmt.Errorf("aggregate cluster role %s: %w", role.Name, err)
			}
			list.Items[i] = *updated
			changed = true
		}
		if !changed {
			break
		}
	}
	return nil
}

// aggregatedRules returns the rules of the roles that role selects, each once,
// in the order of roles.
func aggregatedRules(role *rbacv1.ClusterRole, roles []rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	if role.AggregationRule == nil {
		return nil, nil
	}
	var rules []rbacv1.PolicyRule
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, err
		}
		for _, other := range roles {
			if other.Name == role.Name || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			for _, rule := range other.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return r.String() == rule.String() }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}

func equalRules(a, b []rbacv1.PolicyRule) bool {
	return slices.EqualFunc(a, b, func(a, b rbacv1.PolicyRule) bool { return a.String() == b.String() })
}
