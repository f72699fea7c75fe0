package matrix

import (
	"fmt"
	"math/rand/v2"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// caller is one who reads. What it may read, only RBAC objects say.
type caller struct {
	user   string
	groups []string // beside those that everybody has
	uid    string
}

func (c *caller) String() string {
	if len(c.groups) > 4 {
		return fmt.Sprintf("%s in %d groups", c.user, len(c.groups))
	}
	return fmt.Sprintf("%s in %v", c.user, c.groups)
}

const served = "inventory.kollect.io"

const (
	allOfOurs    = "inventories inventoryrows clusterinventories clusterinventoryrows accessiblerows"
	subresources = "inventories/snapshot inventories/diff clusterinventories/snapshot clusterinventories/diff"
	readers      = "get list watch"
)

// rule lists verbs, groups and resources as words. The core group is core.
func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Verbs: strings.Fields(verbs), Resources: strings.Fields(resources), ResourceNames: names}
	for _, group := range strings.Fields(groups) {
		r.APIGroups = append(r.APIGroups, strings.TrimPrefix(group, "core"))
	}
	return r
}

// roles are there beside those of Kubernetes and of artifacts.
var roles = map[string][]rbacv1.PolicyRule{
	"ours":            {rule(readers, served, allOfOurs), rule("get", served, subresources)},
	"heads":           {rule(readers, served, "inventories clusterinventories")},
	"rows":            {rule(readers, served, "inventoryrows clusterinventoryrows")},
	"only-get":        {rule("get", served, allOfOurs+" "+subresources), rule("get", "core apps matrix.example.com", "configmaps deployments")},
	"only-list":       {rule("list", served, allOfOurs+" "+subresources), rule("list", "apps", "deployments")},
	"only-watch":      {rule("watch", served, allOfOurs), rule("watch list", "core", "configmaps")},
	"named-head":      {rule(readers, served, "inventories clusterinventories", unique("apps"), unique("platform"))},
	"named-snapshot":  {rule("get", served, "inventories/snapshot clusterinventories/snapshot", unique("apps"), unique("platform")+".two")},
	"named-diff":      {rule("get", served, "inventories/diff clusterinventories/diff", unique("apps")+".sub", unique("platform"))},
	"star":            {rule("*", served, "*")},
	"star-snapshot":   {rule("get", served, "*/snapshot")},
	"no-such-star":    {rule("*", served, "inventories/* inventory*"), rule("list", "core", "configmaps/status")},
	"any-group":       {rule(readers, "*", "inventories deployments accessiblerows")},
	"all-of-all":      {rule("*", "*", "*")},
	"maps":            {rule("list", "core", "configmaps")},
	"customs":         {rule("list", "matrix.example.com", "configmaps")},
	"both-maps":       {rule("get list", "core matrix.example.com", "configmaps")},
	"deployments":     {rule("*", "apps", "deployments")},
	"accounts":        {rule("list", "core", "serviceaccounts namespaces")},
	"core-in-apps":    {rule("list", "apps", "configmaps"), rule("list", "core", "deployments")},
	"get-maps":        {rule("get watch", "core", "configmaps"), rule("watch", "apps", "deployments")},
	"named-maps":      {rule("get list", "core", "configmaps", unique("configmaps-n0"), unique("configmaps-n1"))},
	"accessible-get":  {rule("get", served, "accessiblerows")},
	"accessible-list": {rule("list watch", served, "accessiblerows")},
	"sources":         {rule(readers, "core apps matrix.example.com", "configmaps deployments serviceaccounts")},
}

// grants says who has which role, by a RoleBinding in a namespace (role@n0), by
// one to a Role of the namespace itself (role!n0), or in the whole cluster.
var grants = map[string]string{
	"group:tenants":                        "kollect-accessible-rows",
	"user:overseer":                        "kollect-cluster-view",
	"user:viewer":                          "kollect-cluster-view view kollect-accessible-rows",
	"user:alice":                           "view@n0",
	"user:bob":                             "view@n1 both-maps@n2 customs!n3",
	"group:team-two":                       "view@n2",
	"group:mappers":                        "maps@n0 maps!n1 maps@n4",
	"user:editor":                          "edit@n1 admin@n2",
	"user:half-admin":                      "cluster-admin@n3",
	"user:named":                           "named-head named-snapshot@n0 named-diff@n0 named-maps@n0 named-maps@n1",
	"user:named-once":                      "named-head@n1 named-snapshot named-diff",
	"user:getter":                          "only-get",
	"user:getter-here":                     "only-get@n0 get-maps",
	"user:lister":                          "only-list",
	"user:lister-here":                     "only-list@n1 maps@n1",
	"user:watcher":                         "only-watch",
	"user:watcher-here":                    "only-watch!n3 deployments",
	"user:star":                            "star",
	"user:star-here":                       "star@n1 deployments@n0",
	"user:astray":                          "no-such-star core-in-apps star-snapshot@n0",
	"user:any-group":                       "any-group",
	"user:everything":                      "all-of-all",
	"user:everything-here":                 "all-of-all!n2",
	"user:no-lists":                        "get-maps named-maps",
	"user:lists":                           "maps customs@n2 accounts@n1",
	"user:same-name":                       "customs accounts",
	"group:other-name":                     "deployments",
	"user:local":                           "kollect-accessible-rows@n0 kollect-accessible-rows@n1 sources@n0 sources@n2",
	"user:one-row":                         "accessible-get sources",
	"user:row-list":                        "accessible-list@n4 sources@n4",
	"group:many-77":                        "deployments@n3 rows@n3",
	"account:n0/builder":                   "view@n1 sources@n0",
	"account:n1/default":                   "kollect-accessible-rows",
	"group:system:serviceaccounts:n2":      "ours@n2 customs",
	"user:system:serviceaccount:n3:reader": "heads@n3 maps@n3",
	"group:system:unauthenticated":         "heads@n5",
	"group:system:authenticated":           "named-diff@n0",
	"user:someone":                         "ours!n0 both-maps",
}

// newCallers returns those who read: one for each way to have a right, or almost,
// and some with rights by chance.
func newCallers() []*caller {
	callers := []*caller{
		{user: "nobody"}, {user: "system:anonymous"}, {user: "root", groups: []string{"system:masters"}},
		{user: "overseer"}, {user: "viewer"},
		{user: "alice", groups: []string{"tenants"}}, {user: "bob", groups: []string{"tenants"}},
		{user: "carol", groups: []string{"tenants", "team-two"}}, {user: "dave", groups: []string{"mappers", "tenants", "team-two"}},
		{user: "editor", groups: []string{"tenants"}}, {user: "half-admin", groups: []string{"tenants"}},
		{user: "named", groups: []string{"tenants"}}, {user: "named-once"},
		{user: "getter"}, {user: "getter-here", groups: []string{"tenants"}},
		{user: "lister"}, {user: "lister-here", groups: []string{"tenants"}},
		{user: "watcher"}, {user: "watcher-here", groups: []string{"tenants"}},
		{user: "star"}, {user: "star-here", groups: []string{"tenants"}}, {user: "astray", groups: []string{"tenants"}},
		{user: "any-group"}, {user: "everything"}, {user: "everything-here", groups: []string{"tenants"}},
		{user: "no-lists", groups: []string{"tenants"}}, {user: "lists", groups: []string{"tenants"}, uid: "one"},
		{user: "tenants", groups: []string{"same-name"}}, {user: "other-name", groups: []string{"tenants"}}, {user: "someone"},
		{user: "local"}, {user: "one-row"}, {user: "row-list"},
		{user: "crowd", groups: append(manyGroups(), "tenants")},
		{user: serviceAccount(unique("n0"), "builder")}, {user: serviceAccount(unique("n1"), "default")},
		{user: serviceAccount(unique("n2"), "any"), uid: "two"}, {user: serviceAccount(unique("n3"), "reader")},
		{user: serviceAccount(unique("n0"), "builder"), groups: []string{"tenants"}}, // who is in other groups now
	}
	for i := range 6 {
		callers = append(callers, &caller{user: fmt.Sprint("chance-", i), groups: []string{"tenants"}[:i%2]})
	}
	return callers
}

func manyGroups() []string {
	var groups []string
	for i := range 300 {
		groups = append(groups, fmt.Sprint("many-", i))
	}
	return groups
}

// makeRoles makes the roles, those of artifacts, and who has them.
func (w *world) makeRoles() {
	w.Helper()
	for name, rules := range roles {
		w.makeRole("", name, nil, rules)
	}
	w.makeRole("", "collect-customs", map[string]string{"kollect.io/aggregate-to-collect": "true"}, []rbacv1.PolicyRule{rule(readers, "matrix.example.com", "configmaps")})
	w.makeRole("", "collectors", nil, roles["sources"])
	var accounts []rbacv1.Subject
	for _, ns := range namespaces {
		accounts = append(accounts, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: unique(ns), Name: "default"})
	}
	w.makeBinding("collectors", "", rbacv1.RoleRef{Kind: "ClusterRole", Name: "collectors"}, accounts...)
	for who, what := range grants {
		for _, grant := range strings.Fields(what) {
			w.grant(who, grant)
		}
	}
	chance := rand.New(rand.NewPCG(seed, 1))
	for i := range 6 {
		for range 2 + chance.IntN(4) {
			w.grant(fmt.Sprint("user:chance-", i), chanceGrant(chance))
		}
	}
}

// chanceGrant returns a grant of a role that is chosen by chance.
func chanceGrant(chance *rand.Rand) string {
	pool := []string{"ours", "heads", "rows", "only-get", "only-list", "star", "any-group", "maps", "customs", "both-maps",
		"deployments", "accounts", "get-maps", "named-maps", "sources", "accessible-list", "accessible-get", "named-head"}
	role := pool[chance.IntN(len(pool))]
	at := namespaces[chance.IntN(len(namespaces))]
	switch chance.IntN(4) {
	case 0:
		return role
	case 1:
		return role + "!" + at
	}
	return role + "@" + at
}

func (w *world) makeRole(namespace, name string, labels map[string]string, rules []rbacv1.PolicyRule) {
	w.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
	var err error
	if namespace == "" {
		_, err = w.core.RbacV1().ClusterRoles().Create(w.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	} else {
		_, err = w.core.RbacV1().Roles(namespace).Create(w.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	}
	w.must(err)
}

func (w *world) makeBinding(name, namespace string, ref rbacv1.RoleRef, subjects ...rbacv1.Subject) {
	w.Helper()
	ref.APIGroup = rbacv1.GroupName
	for i := range subjects {
		if subjects[i].Kind != rbacv1.ServiceAccountKind {
			subjects[i].APIGroup = rbacv1.GroupName
		}
	}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	var err error
	if namespace == "" {
		_, err = w.core.RbacV1().ClusterRoleBindings().Create(w.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = w.core.RbacV1().RoleBindings(namespace).Create(w.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	}
	w.must(err)
}

// grant binds a role. The binding is called after both, and so is the Role that
// is made for it.
func (w *world) grant(who, grant string) {
	w.Helper()
	name, namespace, ref := bindingOf(who, grant)
	if ref.Kind == "Role" {
		w.makeRole(namespace, ref.Name, nil, roles[strings.Split(grant, "!")[0]])
	}
	w.makeBinding(name, namespace, ref, subjectOf(who, namespace))
}

func bindingOf(who, grant string) (name, namespace string, ref rbacv1.RoleRef) {
	name = strings.NewReplacer(":", "-", "/", "-").Replace(who) + "." + strings.NewReplacer("@", ".", "!", ".own.").Replace(grant)
	role, at, _ := strings.Cut(strings.Replace(grant, "!", "@", 1), "@")
	if strings.Contains(grant, "!") {
		return name, space(at), rbacv1.RoleRef{Kind: "Role", Name: name}
	}
	return name, space(at), rbacv1.RoleRef{Kind: "ClusterRole", Name: role}
}

// subjectOf reads user:name, group:name or account:namespace/name. Namespaces of
// accounts are unique.
func subjectOf(who, namespace string) rbacv1.Subject {
	kind, name, _ := strings.Cut(who, ":")
	switch kind {
	case "group":
		if at, ok := strings.CutPrefix(name, "system:serviceaccounts:"); ok {
			name = "system:serviceaccounts:" + unique(at)
		}
		return rbacv1.Subject{Kind: rbacv1.GroupKind, Name: name}
	case "account":
		at, name, _ := strings.Cut(name, "/")
		if at = unique(at); at == namespace { // which is the default
			at = ""
		}
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: at, Name: name}
	}
	if rest, ok := strings.CutPrefix(name, "system:serviceaccount:"); ok {
		at, account, _ := strings.Cut(rest, ":")
		name = serviceAccount(unique(at), account)
	}
	return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name}
}
