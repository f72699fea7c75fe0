package matrix

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// revoke deletes the binding that grant made.
func (w *world) revoke(who, grant string) {
	w.Helper()
	name, namespace, _ := bindingOf(who, grant)
	if namespace == "" {
		w.must(w.core.RbacV1().ClusterRoleBindings().Delete(w.Context(), name, metav1.DeleteOptions{}))
	} else {
		w.must(w.core.RbacV1().RoleBindings(namespace).Delete(w.Context(), name, metav1.DeleteOptions{}))
	}
}

// changeRights takes rights, gives some, and changes others, in each of the ways
// that there are.
func (w *world) changeRights() {
	w.Helper()
	// Bindings that are deleted: of a user, of groups, in one namespace, in all.
	w.revoke("user:alice", "view@n0")
	w.revoke("group:team-two", "view@n2")
	w.revoke("group:system:serviceaccounts:n2", "customs")
	w.revoke("group:many-77", "deployments@n3")
	w.revoke("user:viewer", "view")
	w.revoke("user:everything", "all-of-all")
	w.revoke("user:local", "kollect-accessible-rows@n0")
	w.revoke("user:overseer", "kollect-cluster-view")
	// One that is replaced by less, by more, and by as much in other words.
	w.revoke("user:half-admin", "cluster-admin@n3")
	w.grant("user:half-admin", "maps@n3")
	w.grant("user:lister-here", "maps")
	w.revoke("user:lists", "maps")
	for _, ns := range namespaces {
		w.grant("user:lists", "maps@"+ns)
	}
	w.revoke("user:star-here", "star@n1")
	w.grant("user:star-here", "star@n2")
	// New ones.
	w.grant("user:nobody", "kollect-accessible-rows")
	w.grant("user:nobody", "sources@n1")
	w.grant("user:named-once", "ours@n3")
	w.grant("group:other-name", "both-maps@n4")
	// Roles that change: one loses a verb, one names others, one is deleted and
	// its binding stays, and one becomes a part of view.
	w.changeRole("", "any-group", rule(readers, "*", "inventories accessiblerows"))
	w.changeRole("", "named-head", rule(readers, served, "inventories clusterinventories", unique("wide"), unique("platform")+".two"))
	own, at, _ := bindingOf("user:bob", "customs!n3")
	w.changeRole(at, own, rule("get watch", "matrix.example.com", "configmaps"))
	own, at, _ = bindingOf("user:everything-here", "all-of-all!n2")
	w.must(w.core.RbacV1().Roles(at).Delete(w.Context(), own, metav1.DeleteOptions{}))
	_, err := w.core.RbacV1().ClusterRoles().Patch(w.Context(), "collect-customs", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":"true"}}}`), metav1.PatchOptions{})
	w.must(err)
	w.must(w.cp.AggregateClusterRoles(w.Context()))
	w.changeSubjects()
	w.revokeByChance()
}

func (w *world) changeRole(namespace, name string, rules ...rbacv1.PolicyRule) {
	w.Helper()
	if namespace == "" {
		role, err := w.core.RbacV1().ClusterRoles().Get(w.Context(), name, metav1.GetOptions{})
		w.must(err)
		role.Rules = rules
		_, err = w.core.RbacV1().ClusterRoles().Update(w.Context(), role, metav1.UpdateOptions{})
		w.must(err)
		return
	}
	role, err := w.core.RbacV1().Roles(namespace).Get(w.Context(), name, metav1.GetOptions{})
	w.must(err)
	role.Rules = rules
	_, err = w.core.RbacV1().Roles(namespace).Update(w.Context(), role, metav1.UpdateOptions{})
	w.must(err)
}

// changeSubjects gives a binding to somebody else.
func (w *world) changeSubjects() {
	w.Helper()
	name, at, _ := bindingOf("group:mappers", "maps@n4")
	binding, err := w.core.RbacV1().RoleBindings(at).Get(w.Context(), name, metav1.GetOptions{})
	w.must(err)
	binding.Subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "tenants"}}
	_, err = w.core.RbacV1().RoleBindings(at).Update(w.Context(), binding, metav1.UpdateOptions{})
	w.must(err)
}

// revokeByChance takes one binding from each caller that has some by chance.
func (w *world) revokeByChance() {
	w.Helper()
	bindings, err := w.core.RbacV1().RoleBindings("").List(w.Context(), metav1.ListOptions{})
	w.must(err)
	done := map[string]bool{}
	for _, b := range bindings.Items {
		if who := strings.Split(b.Name, ".")[0]; strings.HasPrefix(who, "user-chance-") && !done[who] {
			done[who] = true
			w.must(w.core.RbacV1().RoleBindings(b.Namespace).Delete(w.Context(), b.Name, metav1.DeleteOptions{}))
		}
	}
}

// changeSources adds an object of each kind to namespaces, named after a round,
// changes one object and deletes one.
func (w *world) changeSources(round, changed, deleted string, added ...string) {
	w.Helper()
	for _, ns := range added {
		for _, kind := range []string{"configmaps", "customs", "deployments"} {
			w.makeSource(kind, ns, strings.Join([]string{round, kind, ns}, "-"))
		}
	}
	name := unique("configmaps-" + changed)
	_, err := w.core.CoreV1().ConfigMaps(unique(changed)).Patch(w.Context(), name, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"changed":"true"}},"data":{"value":"`+unique("changed-"+changed)+`"}}`), metav1.PatchOptions{})
	w.must(err)
	customs := sourceKinds["customs"].resource
	w.must(w.any.Resource(customs).Namespace(unique(deleted)).Delete(w.Context(), unique("customs-"+deleted), metav1.DeleteOptions{}))
}

// expected returns the events of what differs for a caller between two times.
func (s *stream) expected(before, after *oracle) (events []string) {
	was, is := map[string]*item{}, map[string]*item{}
	for _, i := range before.selected(s.ask(0)) {
		was[i.id()] = i
	}
	for _, i := range after.selected(s.ask(0)) {
		is[i.id()] = i
		switch old := was[i.id()]; {
		case old == nil:
			events = append(events, "ADDED "+i.id())
		case content(old) != content(i):
			events = append(events, "MODIFIED "+i.id())
		}
	}
	for id := range was {
		if is[id] == nil {
			events = append(events, "DELETED "+id)
		}
	}
	slices.Sort(events)
	return events
}
