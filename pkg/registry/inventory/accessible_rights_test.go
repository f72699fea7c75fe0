package inventory

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"kollect.io/kollect/pkg/inventory"
)

// nobody may list anything.
var nobody = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionNoOpinion, "", nil
})

// rights says which partitions users may list.
type rights struct {
	mu      sync.Mutex // guards what follows
	allowed map[string]map[inventory.Partition]bool
}

func (r *rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.allowed[a.GetUser().GetName()][inventory.Partition{Group: a.GetAPIGroup(), Resource: a.GetResource(), Namespace: a.GetNamespace()}] {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func (r *rights) set(user string, p inventory.Partition, allowed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.allowed == nil {
		r.allowed = map[string]map[inventory.Partition]bool{}
	}
	if r.allowed[user] == nil {
		r.allowed[user] = map[inventory.Partition]bool{}
	}
	r.allowed[user][p] = allowed
}

// may is what the authorizer's answers mean for a row.
func (r *rights) may(user string, row *inventory.Row) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := row.Partition()
	all := p
	all.Namespace = ""
	return p.Namespace != "" && (r.allowed[user][p] || r.allowed[user][all])
}

func as(t testing.TB, name, namespace string) context.Context {
	return request.WithUser(in(t, namespace), &user.DefaultInfo{Name: name})
}

var (
	services         = &inventory.Resource{Version: "v1", Resource: "services", Kind: "Service"}
	sourceNamespaces = []string{"a", "a-b", "b", "c", ""}
)

// sourceRow returns a row of the inventory's target: object i is always in the
// same namespace and of the same resource.
func sourceRow(ref inventory.Ref, i, variant int) *inventory.Row {
	namespace := sourceNamespaces[i%len(sourceNamespaces)]
	resource := []*inventory.Resource{deployments, services}[i/len(sourceNamespaces)%2]
	if namespace == "" {
		resource = nodes
	}
	return inventory.NewRow(inventory.RowContent{
		Resource: resource, Target: targetOf(ref), Namespace: namespace, Name: fmt.Sprintf("app-%d", i), UID: fmt.Sprintf("uid-%d", i),
		Created: created, Labels: map[string]string{"n": fmt.Sprint(i % 3)}, Attributes: fmt.Appendf(nil, `{"image":"nginx:%d"}`, variant),
	})
}

func addSources(s *inventory.Store, ref inventory.Ref, count int) {
	addInventory(s, ref, 0)
	s.Update(func(tx *inventory.Tx) {
		for i := range count {
			tx.Put(sourceRow(ref, i, 0), "")
		}
	})
}

// crowd has inventories whose rows lie between those of others.
var crowd = []inventory.Ref{
	{Name: "a"}, {Namespace: "n", Name: "a"}, {Namespace: "n-1", Name: "a"}, {Namespace: "n", Name: "a.b"}, {Name: "a.b.c"}, {Namespace: "m", Name: "a.v"}, {Name: "b"},
}

func randomRight(random *rand.Rand) inventory.Partition {
	resource := []*inventory.Resource{deployments, services, nodes}[random.IntN(3)]
	p := inventory.Partition{Group: resource.Group, Resource: resource.Resource, Namespace: sourceNamespaces[random.IntN(len(sourceNamespaces))]}
	if p.Namespace == "" && random.IntN(3) > 0 {
		p.Namespace = "a"
	}
	return p
}

// visible recomputes what a user is to see of a state, in order.
func visible(state *inventory.State, r *rights, user string, selected func(accessibleRow) bool) []string {
	var rows []accessibleRow
	for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
		for snapshot := range state.Snapshots(scope, "") {
			for e := range snapshot.All() {
				if r := (accessibleRow{row{snapshot.Inventory(), e}}); selected == nil || selected(r) {
					rows = append(rows, r)
				}
			}
		}
	}
	slices.SortFunc(rows, func(a, b accessibleRow) int { return strings.Compare(a.key(), b.key()) })
	described := []string{}
	for _, row := range rows {
		if r.may(user, row.Row) {
			described = append(described, describeRow(row))
		}
	}
	return described
}

func describeRow(r accessibleRow) string {
	return r.key() + "@" + r.meta().ResourceVersion + " of " + r.inventory.Ref.String()
}

func described(objects iter.Seq[accessibleRow]) []string {
	rows := []string{}
	for r := range objects {
		rows = append(rows, describeRow(r))
	}
	return rows
}

func newAccessibleStorage(t testing.TB, o inventory.Options) (*inventory.Store, *rights, *accessible) {
	t.Helper()
	o.Epoch = 3
	s, r := inventory.NewStore(o), &rights{}
	return s, r, New(s, NewSerializer(newScheme(t)), r, nil)["accessiblerows"].(*accessible)
}

func mustListAccessible(t testing.TB, ctx context.Context, a *accessible, o options) *list[accessibleRow] {
	t.Helper()
	l, err := a.List(ctx, &o)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*list[accessibleRow])
}
