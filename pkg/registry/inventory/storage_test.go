package inventory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"kollect.io/kollect/pkg/inventory"
)

var (
	deployments = &inventory.Resource{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}
	nodes       = &inventory.Resource{Version: "v1", Resource: "nodes", Kind: "Node"}
	created     = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)
)

// targetOf names the target that feeds one inventory.
func targetOf(ref inventory.Ref) *inventory.TargetRef {
	return &inventory.TargetRef{Namespace: ref.Namespace, Name: ref.Name}
}

// newRow returns a row of the inventory's target, with labels n=i%3 and app=web.
func newRow(ref inventory.Ref, i int, image string) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: deployments, Target: targetOf(ref), Namespace: "source", Name: fmt.Sprintf("app-%d", i), UID: fmt.Sprintf("uid-%d", i),
		Created: created, Labels: map[string]string{"app": "web", "n": fmt.Sprint(i % 3)},
		Attributes: fmt.Appendf(nil, `{"image":%q,"replicas":%d}`, image, i),
	})
}

var columns = []inventory.Column{{Name: "image", Type: inventory.ColumnString}, {Name: "replicas", Type: inventory.ColumnInteger}}

// addInventory adds an inventory with rows 0 to n-1.
func addInventory(s *inventory.Store, ref inventory.Ref, n int) {
	s.Update(func(tx *inventory.Tx) {
		target := *targetOf(ref)
		tx.SetTarget(target, columns)
		tx.SetInventory(inventory.Inventory{
			Ref: ref, UID: "uid-of-" + ref.String(), Created: created, Cluster: "demo", Targets: []inventory.TargetRef{target},
		})
		for i := range n {
			tx.Put(newRow(ref, i, "nginx:1.27"), "")
		}
		tx.SetTargetState(target, inventory.TargetState{Synced: true})
	})
}

func change(s *inventory.Store, row *inventory.Row) {
	s.Update(func(tx *inventory.Tx) { tx.Put(row, "") })
}

func remove(s *inventory.Store, row *inventory.Row) {
	s.Update(func(tx *inventory.Tx) { tx.Remove(row) })
}

var (
	apps     = inventory.Ref{Namespace: "team-a", Name: "apps"}
	platform = inventory.Ref{Name: "platform"}
)

// newStorage returns a store and the storages of it.
func newStorage(t testing.TB, options inventory.Options) (*inventory.Store, map[string]rest.Storage) {
	t.Helper()
	options.Epoch = 3
	s := inventory.NewStore(options)
	return s, New(s, NewSerializer(newScheme(t)), nobody, inventory.NewEncodings(1<<20))
}

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func in(t testing.TB, namespace string) context.Context {
	return request.WithNamespace(t.Context(), namespace)
}

func mustList(t testing.TB, ctx context.Context, s rest.Storage, o metainternalversion.ListOptions) *list[row] {
	t.Helper()
	l, err := s.(rest.Lister).List(ctx, &o)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*list[row])
}

func keysOf[T object](l *list[T]) []string {
	var keys []string
	for o := range l.objects {
		keys = append(keys, o.key())
	}
	return keys
}

func TestGet(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 3)
	addInventory(s, platform, 3)
	for name, namespace := range map[string]string{"inventoryrows": "team-a", "clusterinventoryrows": ""} {
		getter := storages[name].(rest.Getter)
		for o := range mustList(t, in(t, namespace), storages[name], metainternalversion.ListOptions{}).objects {
			got, err := getter.Get(in(t, namespace), o.name(), &metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got.(*item[row]).object != o {
				t.Errorf("get %s: got another object", o.key())
			}
			if _, err := getter.Get(in(t, "team-b"), o.name(), nil); namespace != "" && !errors.IsNotFound(err) {
				t.Errorf("get in another namespace: got %v, want not found", err)
			}
		}
		for _, wrong := range []string{"", "apps", "apps.", "apps.0", "apps.00000000000000000000000000", "other.00000000000000000000000000", ".00000000000000000000000000"} {
			if _, err := getter.Get(in(t, namespace), wrong, nil); !errors.IsNotFound(err) {
				t.Errorf("get %s %q: got %v, want not found", name, wrong, err)
			}
		}
	}
	found, err := storages["inventories"].(rest.Getter).Get(in(t, "team-a"), "apps", nil)
	if err != nil || found.(*item[head]).object.Rows != 3 {
		t.Errorf("get inventory: got %v, %v", found, err)
	}
}

func TestNames(t *testing.T) {
	_, storages := newStorage(t, inventory.Options{})
	for name, s := range storages {
		if strings.Contains(name, "/") {
			continue // no resource of its own
		}
		if !s.(rest.Scoper).NamespaceScoped() != (name[:7] == "cluster") {
			t.Errorf("%s: wrong scope", name)
		}
		// `kubectl get kollect -A` must not print a million rows.
		got := slices.Contains(s.(rest.CategoriesProvider).Categories(), "kollect")
		if want := !strings.HasSuffix(name, "rows"); got != want {
			t.Errorf("%s is in the category kollect: %v, want %v", name, got, want)
		}
	}
}
