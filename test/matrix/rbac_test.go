package matrix

import (
	"context"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// rbac are the RBAC objects of a control plane, as they were read back.
type rbac struct {
	clusterRoles    map[string][]rbacv1.PolicyRule
	roles           map[string][]rbacv1.PolicyRule // by namespace/name
	clusterBindings []rbacv1.ClusterRoleBinding
	bindings        []rbacv1.RoleBinding
}

func readRBAC(ctx context.Context, client kubernetes.Interface) (*rbac, error) {
	r := &rbac{clusterRoles: map[string][]rbacv1.PolicyRule{}, roles: map[string][]rbacv1.PolicyRule{}}
	api := client.RbacV1()
	clusterRoles, err := api.ClusterRoles().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, role := range clusterRoles.Items {
		r.clusterRoles[role.Name] = role.Rules
	}
	roles, err := api.Roles("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, role := range roles.Items {
		r.roles[role.Namespace+"/"+role.Name] = role.Rules
	}
	clusterBindings, err := api.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	bindings, err := api.RoleBindings("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	r.clusterBindings, r.bindings = clusterBindings.Items, bindings.Items
	return r, nil
}

// rights are the rules that are about one caller.
type rights struct {
	cluster    []rbacv1.PolicyRule
	namespaced map[string][]rbacv1.PolicyRule
}

// of returns the rights of a user in groups. A binding of a role that is not
// there gives none.
func (r *rbac) of(user string, groups []string) *rights {
	found := &rights{namespaced: map[string][]rbacv1.PolicyRule{}}
	for _, b := range r.clusterBindings {
		if isAny(b.Subjects, "", user, groups) {
			found.cluster = append(found.cluster, r.clusterRoles[b.RoleRef.Name]...)
		}
	}
	for _, b := range r.bindings {
		if !isAny(b.Subjects, b.Namespace, user, groups) {
			continue
		}
		rules := r.clusterRoles[b.RoleRef.Name]
		if b.RoleRef.Kind == "Role" {
			rules = r.roles[b.Namespace+"/"+b.RoleRef.Name]
		}
		found.namespaced[b.Namespace] = append(found.namespaced[b.Namespace], rules...)
	}
	return found
}

// isAny reports whether a subject of a binding, which is in the namespace, is the
// user or one of the groups.
func isAny(subjects []rbacv1.Subject, namespace, user string, groups []string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.UserKind:
			return s.Name == user
		case rbacv1.GroupKind:
			return slices.Contains(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			if s.Namespace == "" {
				s.Namespace = namespace
			}
			return s.Namespace != "" && user == serviceAccount(s.Namespace, s.Name)
		}
		return false
	})
}

func serviceAccount(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// question is what an authorizer is asked about.
type question struct {
	verb, group, resource, subresource string
	namespace                          string // empty: all, or none
	name                               string
}

// allow reports whether a rule of the whole cluster, or of the question's
// namespace, allows it.
func (r *rights) allow(q question) bool {
	allows := func(rule rbacv1.PolicyRule) bool { return q.allowedBy(rule) }
	return slices.ContainsFunc(r.cluster, allows) ||
		q.namespace != "" && slices.ContainsFunc(r.namespaced[q.namespace], allows)
}

func (q *question) allowedBy(rule rbacv1.PolicyRule) bool {
	return hasOrAll(rule.Verbs, q.verb) && hasOrAll(rule.APIGroups, q.group) && q.resourceIn(rule.Resources) &&
		(len(rule.ResourceNames) == 0 || q.name != "" && slices.Contains(rule.ResourceNames, q.name))
}

func hasOrAll(list []string, s string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, s)
}

// resourceIn knows of two wildcards: * is all resources and their subresources,
// and */x is the subresource x of all.
func (q *question) resourceIn(resources []string) bool {
	if q.subresource == "" {
		return hasOrAll(resources, q.resource)
	}
	return hasOrAll(resources, q.resource+"/"+q.subresource) || slices.Contains(resources, "*/"+q.subresource)
}

// groupsOf returns the groups that a user has, beside those that are given, when
// an administrator acts as it.
func groupsOf(user string, given []string) []string {
	groups := slices.Clone(given)
	if namespace, _, ok := strings.Cut(strings.TrimPrefix(user, "system:serviceaccount:"), ":"); ok && len(given) == 0 {
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
	}
	if user == "system:anonymous" {
		return append(groups, "system:unauthenticated")
	}
	return append(groups, "system:authenticated")
}

// The evaluator knows the rules of RBAC that are easily got wrong.
func TestEvaluator(t *testing.T) {
	get, list, head := question{verb: "get", name: "x"}, question{verb: "list"}, question{verb: "list", name: "x"}
	file := question{verb: "get", name: "x", subresource: "snapshot"}
	for name, test := range map[string]struct {
		rule rbacv1.PolicyRule
		asks question
		want bool
	}{
		"a verb":                               {rule("get", served, "inventories"), get, true},
		"get is not list":                      {rule("get", served, "inventories"), list, false},
		"all verbs":                            {rule("*", "*", "*"), list, true},
		"another group":                        {rule("get", "core apps", "inventories"), get, false},
		"a name":                               {rule("get list", served, "inventories", "x"), get, true},
		"another name":                         {rule("get list", served, "inventories", "y"), get, false},
		"a list has no name":                   {rule("get list", served, "inventories", "x"), list, false},
		"a list of one name":                   {rule("get list", served, "inventories", "x"), head, true},
		"a resource is not its subresources":   {rule("get", served, "inventories"), file, false},
		"a subresource":                        {rule("get", served, "inventories/snapshot"), file, true},
		"all subresources are no wildcard":     {rule("get", served, "inventories/*"), file, false},
		"a subresource of all":                 {rule("get", served, "*/snapshot"), file, true},
		"all resources have subresources":      {rule("get", served, "*"), file, true},
		"a subresource is not of its resource": {rule("get", served, "*/snapshot"), get, false},
	} {
		for _, within := range []string{"", "here", "there"} {
			q := test.asks
			q.group, q.resource, q.namespace = served, "inventories", within
			cluster := &rights{cluster: []rbacv1.PolicyRule{test.rule}}
			here := &rights{namespaced: map[string][]rbacv1.PolicyRule{"here": {test.rule}}}
			if got := cluster.allow(q); got != test.want {
				t.Errorf("%s, in all namespaces: got %v in %q", name, got, within)
			}
			if got, want := here.allow(q), test.want && within == "here"; got != want {
				t.Errorf("%s, in one namespace: got %v in %q", name, got, within)
			}
		}
	}
	for who, want := range map[string]bool{
		serviceAccount("here", "x"): true, serviceAccount("there", "x"): false, "x": false, "named": true, "grouped": true, "group": false,
	} {
		subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "x"}, {Kind: "User", Name: "named"}, {Kind: "Group", Name: "group"}}
		if got := isAny(subjects, "here", who, map[string][]string{"grouped": {"group"}}[who]); got != want {
			t.Errorf("%s: got %v, want %v", who, got, want)
		}
	}
}
