package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

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
	return s, r, New(s, NewSerializer(newScheme(t)), r)["accessiblerows"].(*accessible)
}

func mustListAccessible(t testing.TB, ctx context.Context, a *accessible, o options) *list[accessibleRow] {
	t.Helper()
	l, err := a.List(ctx, &o)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*list[accessibleRow])
}

// Random rights over random rows: every way to read shows what the oracle does.
func TestAccessibleRowsAreThoseOfTheOracle(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 9))
		s, r, a := newAccessibleStorage(t, inventory.Options{})
		for _, ref := range crowd {
			addSources(s, ref, random.IntN(90))
		}
		for range random.IntN(8) {
			r.set("alice", randomRight(random), true)
		}
		state := s.State()
		for name, test := range map[string]struct {
			namespace string
			options   options
			selected  func(accessibleRow) bool
		}{
			"all":              {"", options{}, nil},
			"namespace":        {"a-b", options{}, func(r accessibleRow) bool { return r.Row.Namespace() == "a-b" }},
			"unknown":          {"team-a", options{}, func(accessibleRow) bool { return false }},
			"label":            {"", options{LabelSelector: labels.SelectorFromSet(labels.Set{"n": "1"})}, func(r accessibleRow) bool { return strings.Contains(r.Row.Labels(), `"1"`) }},
			"inventory":        {"", options{FieldSelector: fields.OneTermEqualSelector("inventory", "a")}, func(r accessibleRow) bool { return r.inventory.Name == "a" }},
			"its namespace":    {"", options{FieldSelector: fields.OneTermEqualSelector("inventoryNamespace", "n")}, func(r accessibleRow) bool { return r.inventory.Namespace == "n" }},
			"source namespace": {"", options{FieldSelector: fields.OneTermEqualSelector("source.namespace", "a")}, func(r accessibleRow) bool { return r.Row.Namespace() == "a" }},
			"other namespace":  {"a", options{FieldSelector: fields.OneTermEqualSelector("metadata.namespace", "b")}, func(accessibleRow) bool { return false }},
			"kind":             {"", options{FieldSelector: fields.OneTermNotEqualSelector("source.kind", "Service")}, func(r accessibleRow) bool { return r.Row.Resource() != services }},
			"attribute":        {"", options{FieldSelector: fields.OneTermEqualSelector("attributes.image", "nginx:0")}, nil},
			"no attribute":     {"", options{FieldSelector: fields.OneTermEqualSelector("attributes.none", "x")}, func(accessibleRow) bool { return false }},
		} {
			want := visible(state, r, "alice", test.selected)
			ctx := as(t, "alice", test.namespace)
			got := described(mustListAccessible(t, ctx, a, test.options).objects)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", name, diff)
			}
			checkPages(t, ctx, a, test.options, want, 1+random.Int64N(20))
		}
		checkGets(t, s, r, a)
		if l := mustListAccessible(t, as(t, "bob", ""), a, options{Limit: 1}); len(described(l.objects)) > 0 || l.Continue != "" || l.RemainingItemCount != nil {
			t.Errorf("bob sees %v", l)
		}
	}
}

func checkPages(t *testing.T, ctx context.Context, a *accessible, o options, want []string, limit int64) {
	t.Helper()
	o.Limit = limit
	var got []string
	for {
		l := mustListAccessible(t, ctx, a, o)
		page := described(l.objects)
		got = append(got, page...)
		if o.Continue = l.Continue; o.Continue == "" {
			break
		}
		if rest := l.RemainingItemCount; o.LabelSelector == nil && o.FieldSelector == nil && (rest == nil || int(*rest) != len(want)-len(got)) {
			t.Fatalf("remaining are %v, want %d", rest, len(want)-len(got))
		}
		if len(page) != int(limit) {
			t.Fatalf("a page of %d, want %d", len(page), limit)
		}
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("all", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
		t.Fatalf("pages of %d: (-want +got)\n%s", limit, diff)
	}
}

// checkGets gets every row. What is hidden is answered as what is not there.
func checkGets(t *testing.T, s *inventory.Store, r *rights, a *accessible) {
	t.Helper()
	for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
		for snapshot := range s.State().Snapshots(scope, "") {
			for e := range snapshot.All() {
				one := accessibleRow{row{snapshot.Inventory(), e}}
				got, err := a.Get(as(t, "alice", one.Row.Namespace()), one.name(), nil)
				if r.may("alice", one.Row) {
					if err != nil || describeRow(got.(*item[accessibleRow]).object) != describeRow(one) {
						t.Fatalf("get %s: %v, %v", describeRow(one), got, err)
					}
				} else if want := errors.NewNotFound(a.resource(), one.name()); !cmp.Equal(err, error(want)) {
					t.Fatalf("get hidden %s: %v, %v", describeRow(one), got, err)
				}
			}
		}
	}
}

func TestAccessibleRowsAsJSON(t *testing.T) {
	s, r, a := newAccessibleStorage(t, inventory.Options{})
	for _, ref := range crowd {
		addSources(s, ref, 12)
	}
	r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments"}, true)
	r.set("alice", inventory.Partition{Resource: "services", Namespace: "a"}, true)
	l := mustListAccessible(t, as(t, "alice", ""), a, options{})
	var got bytes.Buffer
	if err := l.writeJSON(&got); err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(l.GetObject())
	if err != nil {
		t.Fatal(err)
	}
	var gotValue, wantValue map[string]any
	if err := json.Unmarshal(got.Bytes(), &gotValue); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &wantValue); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantValue["items"], gotValue["items"]); diff != "" || len(gotValue["items"].([]any)) == 0 {
		t.Errorf("(-want +got)\n%s", diff)
	}
	first := mustFirst(l)
	table, err := a.ConvertToTable(t.Context(), l, nil)
	if err != nil || len(table.Rows) != len(gotValue["items"].([]any)) || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
		t.Fatalf("got %v, %v", table, err)
	}
	if cells := table.Rows[0].Cells; cells[0] != first.name() || cells[3] != first.inventory.Ref.String() || cells[4] != first.Row.Target().String() {
		t.Errorf("cells %v of %s", cells, describeRow(first))
	}
}

// A caller whose rights have changed goes on with nothing that it has read.
func TestChangedRightsExpireVersions(t *testing.T) {
	for name, change := range map[string]bool{"granted": true, "revoked": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, r, a := newAccessibleStorage(t, inventory.Options{})
				addSources(s, platform, 100)
				granted := inventory.Partition{Resource: "services", Namespace: "a"}
				r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
				r.set("alice", granted, !change)
				ctx := as(t, "alice", "")
				page := mustListAccessible(t, ctx, a, options{Limit: 3})
				exact := options{ResourceVersion: page.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
				next := options{Limit: 3, Continue: page.Continue}
				for _, o := range []options{next, exact} {
					mustListAccessible(t, ctx, a, o)
				}
				time.Sleep(6 * time.Second)
				for _, o := range []options{next, exact} {
					mustListAccessible(t, ctx, a, o)
				}
				r.set("alice", granted, change)
				time.Sleep(6 * time.Second)
				for _, o := range []options{next, exact} {
					if _, err := a.List(ctx, &o); !errors.IsResourceExpired(err) || err.(errors.APIStatus).Status().ListMeta.Continue != "" {
						t.Errorf("%+v: got %v", o, err)
					}
				}
				if got := seen(mustWatch(t, ctx, a, options{ResourceVersion: page.ResourceVersion})); !slices.Equal(got, []string{"ERROR 410 Expired", "CLOSED"}) {
					t.Errorf("watch: got %v", got)
				}
				again := mustListAccessible(t, ctx, a, options{})
				if diff := cmp.Diff(visible(s.State(), r, "alice", nil), described(again.objects)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if got := seen(mustWatch(t, ctx, a, options{ResourceVersion: again.ResourceVersion})); len(got) != 0 {
					t.Errorf("watch: got %v", got)
				}
			})
		})
	}
}

// A token whose state is forgotten leads to one that goes on in the newest state,
// with the same rights only.
func TestInconsistentTokensAreBoundToRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, a := newAccessibleStorage(t, inventory.Options{HistoryEvents: 1, HistoryAge: time.Second})
		addSources(s, platform, 100)
		r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
		r.set("bob", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}, true)
		ctx := as(t, "alice", "")
		all := described(mustListAccessible(t, ctx, a, options{}).objects)
		page := mustListAccessible(t, ctx, a, options{Limit: 3})
		time.Sleep(2 * time.Second)
		for i := range 3 {
			change(s, sourceRow(platform, 1, i+1)) // hidden
		}
		_, err := a.List(ctx, &options{Limit: 3, Continue: page.Continue})
		if !errors.IsResourceExpired(err) {
			t.Fatalf("got %v", err)
		}
		token := err.(errors.APIStatus).Status().ListMeta.Continue
		rest := mustListAccessible(t, ctx, a, options{Continue: token})
		if got := described(rest.objects); !slices.Equal(got, all[3:]) {
			t.Errorf("got %v, want %v", got, all[3:])
		}
		r.set("alice", inventory.Partition{Resource: "services", Namespace: "a"}, true)
		time.Sleep(6 * time.Second)
		if _, err := a.List(ctx, &options{Continue: token}); !errors.IsResourceExpired(err) {
			t.Errorf("with other rights: got %v", err)
		}
		if _, err := a.List(as(t, "bob", ""), &options{Continue: token}); !errors.IsResourceExpired(err) {
			t.Errorf("another's: got %v", err)
		}
	})
}

func TestAccessibleWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r, a := newAccessibleStorage(t, inventory.Options{})
		addSources(s, platform, 1) // a deployment in a
		mine := inventory.Partition{Group: "apps", Resource: "deployments", Namespace: "a"}
		r.set("alice", mine, true)
		r.set("alice", inventory.Partition{Resource: "services", Namespace: "b"}, true)
		ctx, cancel := context.WithTimeout(as(t, "alice", ""), 10*time.Minute)
		defer cancel()
		first := mustListAccessible(t, ctx, a, options{}).ResourceVersion
		w := mustWatch(t, ctx, a, options{ResourceVersion: first, AllowWatchBookmarks: true})
		names := func() []string {
			var names []string
			for _, e := range seen(w) {
				name, _, _ := strings.Cut(e, "@")
				names = append(names, name)
			}
			return names
		}
		expect := func(want ...string) {
			t.Helper()
			if got := names(); !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		change(s, sourceRow(platform, 0, 1))
		expect("MODIFIED app-0")
		change(s, sourceRow(platform, 7, 0)) // a service in b: a partition that is new
		change(s, sourceRow(platform, 5, 0)) // a service in a: hidden
		change(s, sourceRow(platform, 4, 0)) // a node
		expect("ADDED app-7")
		for i := range 50 { // hidden
			change(s, sourceRow(platform, 5, i))
			time.Sleep(100 * time.Millisecond)
		}
		expect()
		time.Sleep(time.Minute)
		expect("BOOKMARK ")
		remove(s, sourceRow(platform, 7, 0))
		expect("DELETED app-7")
		r.set("alice", mine, false)
		start := time.Now()
		for len(names()) == 0 {
			if time.Since(start) > 10*time.Second {
				t.Fatal("the watch goes on without the right")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// Random changes of rows and rights: who lists and watches as client-go does has
// what the oracle says, and had never seen a row without the right to.
func TestAccessibleWatchLeadsToTheOracle(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 11))
			s, r, a := newAccessibleStorage(t, inventory.Options{})
			for _, ref := range crowd {
				addSources(s, ref, 20)
			}
			users := []string{"alice", "bob"}
			mirrors := map[string]*mirror{}
			for _, user := range users {
				mirrors[user] = &mirror{a: a, ctx: as(t, user, "")}
			}
			for range 150 {
				for range random.IntN(20) {
					row := sourceRow(crowd[random.IntN(len(crowd))], random.IntN(40), random.IntN(3))
					if random.IntN(3) == 0 {
						remove(s, row)
					} else {
						change(s, row)
					}
				}
				if random.IntN(3) == 0 {
					r.set(users[random.IntN(2)], randomRight(random), random.IntN(2) == 0)
				}
				if random.IntN(2) == 0 {
					time.Sleep(7 * time.Second)
				}
				for _, user := range users {
					mirrors[user].follow(t, random.IntN(4) == 0)
				}
			}
			time.Sleep(7 * time.Second)
			for user, m := range mirrors {
				m.follow(t, false)
				m.follow(t, false) // after an end
				got := []string{}
				for _, key := range slices.Sorted(maps.Keys(m.rows)) {
					got = append(got, m.rows[key])
				}
				if diff := cmp.Diff(visible(s.State(), r, user, nil), got); diff != "" {
					t.Fatalf("%s: (-want +got)\n%s", user, diff)
				}
				m.stop()
			}
		})
	}
}

// mirror lists and watches as a reflector does.
type mirror struct {
	a       *accessible
	ctx     context.Context
	rows    map[string]string // by key
	version string
	watch   watch.Interface
}

func (m *mirror) stop() {
	if m.watch != nil {
		m.watch.Stop()
		m.watch = nil
	}
}

// follow takes in all events that have come. It may begin a new watch.
func (m *mirror) follow(t *testing.T, anew bool) {
	if anew {
		m.stop()
	}
	if m.version == "" {
		l := mustListAccessible(t, m.ctx, m.a, options{})
		m.rows, m.version = map[string]string{}, l.ResourceVersion
		for r := range l.objects {
			m.rows[r.key()] = describeRow(r)
		}
	}
	if m.watch == nil {
		var err error
		if m.watch, err = m.a.Watch(m.ctx, &options{ResourceVersion: m.version}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		synctest.Wait()
		select {
		case e := <-m.watch.ResultChan():
			if e.Type == watch.Error {
				if status := e.Object.(*metav1.Status); status.Code != 410 {
					t.Fatalf("got %v", status)
				}
				m.version = ""
				m.stop()
				return
			}
			r := e.Object.(*view[accessibleRow]).item.object
			m.version = r.meta().ResourceVersion
			if _, had := m.rows[r.key()]; had != (e.Type != watch.Added) {
				t.Fatalf("%s %s, which was there: %v", e.Type, describeRow(r), had)
			}
			m.rows[r.key()] = describeRow(r)
			if e.Type == watch.Deleted {
				delete(m.rows, r.key())
			}
		default:
			return
		}
	}
}

func TestAccessibleRowsNeedACaller(t *testing.T) {
	_, _, a := newAccessibleStorage(t, inventory.Options{})
	if _, err := a.List(in(t, "a"), nil); !errors.IsUnauthorized(err) {
		t.Errorf("list: %v", err)
	}
	if _, err := a.Get(in(t, "a"), "x", nil); !errors.IsUnauthorized(err) {
		t.Errorf("get: %v", err)
	}
	if _, err := rest.Watcher(a).Watch(in(t, "a"), nil); !errors.IsUnauthorized(err) {
		t.Errorf("watch: %v", err)
	}
}
