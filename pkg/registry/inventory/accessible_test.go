package inventory

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/registry/rest"

	"kollect.io/kollect/pkg/inventory"
)

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
