package inventory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
)

type options = metainternalversion.ListOptions

func version(v uint64) string { return strconv.FormatUint(v, 10) }

func TestListVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 10)
		rows, ctx := storages["inventoryrows"], in(t, "team-a")
		first := mustList(t, ctx, rows, options{}) // holds its state
		old, _ := strconv.ParseUint(first.ResourceVersion, 10, 64)
		change(s, newRow(apps, 3, "nginx:2"))
		unheld := s.State().Version
		remove(s, newRow(apps, 4, ""))
		newest := s.State().Version
		future := newest + 1_000_000_000

		for name, test := range map[string]struct {
			options options
			version uint64 // 0: an error
			rows    int
			err     func(error) bool
		}{
			"no version":             {options{}, newest, 9, nil},
			"no version, limit":      {options{Limit: 4}, newest, 4, nil},
			"zero":                   {options{ResourceVersion: "0"}, newest, 9, nil},
			"zero, limit":            {options{ResourceVersion: "0", Limit: 4}, newest, 4, nil},
			"zero, not older":        {options{ResourceVersion: "0", ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, newest, 9, nil},
			"old":                    {options{ResourceVersion: version(old)}, newest, 9, nil},
			"old, not older":         {options{ResourceVersion: version(old), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, newest, 9, nil},
			"old, not older, limit":  {options{ResourceVersion: version(old), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, Limit: 4}, newest, 4, nil},
			"old, exact":             {options{ResourceVersion: version(old), ResourceVersionMatch: metav1.ResourceVersionMatchExact}, old, 10, nil},
			"old, exact, limit":      {options{ResourceVersion: version(old), ResourceVersionMatch: metav1.ResourceVersionMatchExact, Limit: 3}, old, 3, nil},
			"old, limit":             {options{ResourceVersion: version(old), Limit: 4}, old, 4, nil},
			"newest, exact":          {options{ResourceVersion: version(newest), ResourceVersionMatch: metav1.ResourceVersionMatchExact}, newest, 9, nil},
			"not held, exact":        {options{ResourceVersion: version(unheld), ResourceVersionMatch: metav1.ResourceVersionMatchExact}, unheld, 10, nil},
			"not held, limit":        {options{ResourceVersion: version(unheld), Limit: 4}, unheld, 4, nil},
			"another store's":        {options{ResourceVersion: "7"}, 0, 0, errors.IsResourceExpired},
			"another store's, limit": {options{ResourceVersion: "7", Limit: 4}, 0, 0, errors.IsResourceExpired},
			"another store's, exact": {options{ResourceVersion: "7", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, 0, 0, errors.IsResourceExpired},
			"future":                 {options{ResourceVersion: version(future)}, 0, 0, storage.IsTooLargeResourceVersion},
			"future, exact":          {options{ResourceVersion: version(future), ResourceVersionMatch: metav1.ResourceVersionMatchExact}, 0, 0, storage.IsTooLargeResourceVersion},
			"future, limit":          {options{ResourceVersion: version(future), Limit: 4}, 0, 0, storage.IsTooLargeResourceVersion},
			"beyond int64":           {options{ResourceVersion: "18446744073709551615", ResourceVersionMatch: metav1.ResourceVersionMatchExact}, 0, 0, storage.IsTooLargeResourceVersion},
			"not a number":           {options{ResourceVersion: "x"}, 0, 0, errors.IsBadRequest},
			"negative limit":         {options{Limit: -1}, newest, 9, nil},
			"token":                  {options{Continue: "x", Limit: 4}, 0, 0, errors.IsBadRequest},
		} {
			result, err := rows.(rest.Lister).List(ctx, &test.options)
			if test.err != nil {
				if !test.err(err) {
					t.Errorf("%s: got error %v", name, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			l := result.(*list[row])
			if got := len(keysOf(l)); l.ResourceVersion != version(test.version) || got != test.rows {
				t.Errorf("%s: got %d rows at %s, want %d at %d", name, got, l.ResourceVersion, test.rows, test.version)
			}
		}
	})
}

// The events of an Update have versions of their own, at each of which the lists
// are what the events have led to.
func TestListWhileAnInventoryAppears(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	first := s.State().Version
	addInventory(s, apps, 3)
	for version, want := range map[uint64][2]int{first: {0, 0}, first + 1: {1, 0}, first + 3: {3, 0}, first + 4: {3, 1}} {
		exact := options{ResourceVersion: strconv.FormatUint(version, 10), ResourceVersionMatch: metav1.ResourceVersionMatchExact}
		for i, name := range []string{"inventoryrows", "inventories"} {
			l, err := storages[name].(rest.Lister).List(in(t, "team-a"), &exact)
			if err != nil {
				t.Fatal(err)
			}
			if got := meta.LenList(l.(runtime.CacheableObject).GetObject()); got != want[i] {
				t.Errorf("version %d: got %d %s, want %d", version-first, got, name, want[i])
			}
		}
	}
}

func TestListWaitsForAVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 1)
		go func() {
			synctest.Wait() // until the list waits
			addInventory(s, platform, 1)
		}()
		minimum := s.State().Version + 1
		l := mustList(t, in(t, "team-a"), storages["inventoryrows"], options{ResourceVersion: version(minimum)})
		if got, _ := strconv.ParseUint(l.ResourceVersion, 10, 64); got < minimum {
			t.Errorf("got version %d, want %d or later", got, minimum)
		}
	})
}

// pages lists all pages, with a change before each but the first.
func pages(t *testing.T, s *inventory.Store, storage rest.Storage, ctx context.Context, o options) (all []string, versions []string, remaining []int64) {
	t.Helper()
	for {
		l := mustList(t, ctx, storage, o)
		all = append(all, keysOf(l)...)
		versions = append(versions, l.ResourceVersion)
		if l.RemainingItemCount != nil {
			remaining = append(remaining, *l.RemainingItemCount)
		}
		if o.Continue = l.Continue; o.Continue == "" {
			return all, versions, remaining
		}
		remove(s, newRow(apps, len(versions), ""))
	}
}

func TestPagesAreOfTheFirstOnesState(t *testing.T) {
	for _, namespace := range []string{"team-a", ""} {
		s, storages := newStorage(t, inventory.Options{})
		addInventory(s, apps, 100)
		addInventory(s, inventory.Ref{Namespace: "team-b", Name: "x"}, 5)
		ctx := in(t, namespace)
		want := keysOf(mustList(t, ctx, storages["inventoryrows"], options{}))
		got, versions, remaining := pages(t, s, storages["inventoryrows"], ctx, options{Limit: 30})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-whole +pages)\n%s", diff)
		}
		if len(slices.Compact(versions)) != 1 {
			t.Errorf("pages are of versions %v", versions)
		}
		if diff := cmp.Diff([]int64{int64(len(want)) - 30, int64(len(want)) - 60, int64(len(want)) - 90}, remaining); diff != "" {
			t.Errorf("remaining: %s", diff)
		}
	}
}

func TestPagesOfSelectedRows(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 100)
	selector := labels.SelectorFromSet(labels.Set{"n": "1"})
	ctx := in(t, "team-a")
	want := keysOf(mustList(t, ctx, storages["inventoryrows"], options{LabelSelector: selector}))
	got, _, remaining := pages(t, s, storages["inventoryrows"], ctx, options{LabelSelector: selector, Limit: 7})
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 33 {
		t.Errorf("(-whole +pages)\n%s", diff)
	}
	if len(remaining) > 0 {
		t.Errorf("got remaining counts %v with a selector", remaining)
	}
}

func TestContinueOfAStateThatIsGone(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{HistoryStates: 1, HistoryEvents: 1})
	addInventory(s, apps, 100)
	rows, ctx := storages["inventoryrows"], in(t, "team-a")
	first := mustList(t, ctx, rows, options{Limit: 30})
	seen := keysOf(first)
	for i := range 3 { // newer states are held instead, and events are forgotten
		remove(s, newRow(apps, i, ""))
		mustList(t, ctx, rows, options{})
	}
	_, err := rows.(rest.Lister).List(ctx, &options{Limit: 30, Continue: first.Continue})
	if !errors.IsResourceExpired(err) {
		t.Fatalf("got %v, want expired", err)
	}
	token := err.(errors.APIStatus).Status().ListMeta.Continue
	left := mustList(t, ctx, rows, options{Limit: 1000, Continue: token})
	all := keysOf(mustList(t, ctx, rows, options{}))
	i, _ := slices.BinarySearch(all, seen[len(seen)-1]+"\x00")
	if diff := cmp.Diff(all[i:], keysOf(left)); diff != "" {
		t.Errorf("inconsistent rest: (-want +got)\n%s", diff)
	}
	if left.ResourceVersion != version(s.State().Version) {
		t.Errorf("inconsistent rest: at version %s, want the newest", left.ResourceVersion)
	}
}

func TestContinueOfAnotherReplica(t *testing.T) {
	here, storages := newStorage(t, inventory.Options{})
	addInventory(here, apps, 10)
	there, others := newStorage(t, inventory.Options{})
	addInventory(there, apps, 10)
	for i := 0; there.State().Version <= here.State().Version; i++ {
		change(there, newRow(apps, i%10, version(uint64(i))))
	}
	rows, ctx := storages["inventoryrows"], in(t, "team-a")
	first := mustList(t, ctx, others["inventoryrows"], options{Limit: 3})
	_, err := rows.(rest.Lister).List(ctx, &options{Limit: 3, Continue: first.Continue})
	if !errors.IsResourceExpired(err) {
		t.Fatalf("a token ahead of this replica: got %v, want expired", err)
	}
	token := err.(errors.APIStatus).Status().ListMeta.Continue
	if got := len(keysOf(mustList(t, ctx, rows, options{Continue: token}))); got != 7 {
		t.Errorf("going on in the newest state: got %d rows, want 7", got)
	}
}

func TestContinueWithAVersion(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 10)
	rows, ctx := storages["inventoryrows"], in(t, "team-a")
	first := mustList(t, ctx, rows, options{Limit: 3})
	if _, err := rows.(rest.Lister).List(ctx, &options{Limit: 3, Continue: first.Continue, ResourceVersion: first.ResourceVersion}); !errors.IsBadRequest(err) {
		t.Errorf("with a version: got %v, want a bad request", err)
	}
	if got := len(keysOf(mustList(t, ctx, rows, options{Continue: first.Continue, ResourceVersion: "0"}))); got != 7 {
		t.Errorf("with version 0: got %d rows, want 7", got)
	}
}

func TestSelectorsAgreeWithThoseOnTypedObjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	s := nestingStore(random)
	storages := New(s, NewSerializer(newScheme(t)), nobody, nil)
	sample := keysOf(mustList(t, in(t, ""), storages["inventoryrows"], options{}))
	one := sample[len(sample)/2]
	name := one[slices.Index([]byte(one), '/')+1:]
	for _, scope := range []string{"", "n"} {
		ctx := in(t, scope)
		all := typedRows(mustList(t, ctx, storages["inventoryrows"], options{}))
		for _, label := range []string{"", "app=web", "n=1", "n in (0,2)", "n!=1", "!n", "x", "app=db", "n notin (1)", "x!=1"} {
			for _, field := range []string{
				"", "metadata.name=" + name, "metadata.name!=" + name, "metadata.name=x", "metadata.namespace=n", "metadata.namespace!=n",
				"inventory=a", "inventory!=a", "inventory=a,metadata.name=" + name, "metadata.namespace=n,inventory=a.b", "source.kind=Deployment",
				"source.group=apps,source.resource=deployments", "source.namespace=source,source.name=app-3", "source.uid=uid-4",
				"target=n/a", "target=a", "source.group=", "metadata.namespace=none", "source.kind=Node", "source.name=app-3,target=n/a.b",
				"attributes.image=nginx:1.27", "attributes.image=nginx:1.27,attributes.replicas=3", "attributes.image!=nginx:1.27",
				"attributes.replicas=7", "attributes.replicas!=7", "attributes.replicas=7,source.name=app-7,inventory=a",
				"attributes.replicas=", "attributes.replicas=07", "source.kind=Deployment,attributes.replicas!=3,source.uid!=uid-4",
			} {
				testSelectors(t, ctx, storages["inventoryrows"], all, label, field)
			}
		}
	}
}

// typedRow is what selectors on typed objects look at.
type typedRow struct {
	key    string
	labels labels.Set
	fields fields.Set
}

func typedRows(l *list[row]) (all []typedRow) {
	for o := range l.objects {
		m, c := o.meta(), o.content()
		target := c.Target.Name
		if c.Target.Namespace != "" {
			target = c.Target.Namespace + "/" + target
		}
		of := fields.Set{
			"metadata.name": m.Name, "metadata.namespace": m.Namespace, "inventory": c.Inventory, "target": target,
			"source.group": c.Source.Group, "source.kind": c.Source.Kind, "source.resource": c.Source.Resource,
			"source.namespace": c.Source.Namespace, "source.name": c.Source.Name, "source.uid": c.Source.UID,
		}
		for name, value := range c.Attributes {
			of["attributes."+name] = inventory.Unquote(string(value.Raw))
		}
		all = append(all, typedRow{o.key(), m.Labels, of})
	}
	return all
}

func testSelectors(t *testing.T, ctx context.Context, storage rest.Storage, all []typedRow, label, field string) {
	t.Helper()
	labelSelector, err := labels.Parse(label)
	if err != nil {
		t.Fatal(err)
	}
	fieldSelector := fields.ParseSelectorOrDie(field)
	want := []string{}
	for _, o := range all {
		if labelSelector.Matches(o.labels) && fieldSelector.Matches(o.fields) {
			want = append(want, o.key)
		}
	}
	got := append([]string{}, keysOf(mustList(t, ctx, storage, options{LabelSelector: labelSelector, FieldSelector: fieldSelector}))...)
	if !slices.Equal(want, got) {
		t.Errorf("labels %q, fields %q: (-want +got)\n%s", label, field, cmp.Diff(want, got))
	}
	paged := []string{}
	o := options{LabelSelector: labelSelector, FieldSelector: fieldSelector, Limit: int64(len(want)/3 + 1)}
	for more := true; more; more = o.Continue != "" {
		l := mustList(t, ctx, storage, o)
		if paged, o.Continue = append(paged, keysOf(l)...), l.Continue; l.RemainingItemCount != nil && label+field != "" {
			t.Errorf("labels %q, fields %q: a count of what remains", label, field)
		}
	}
	if !slices.Equal(want, paged) {
		t.Errorf("labels %q, fields %q: in pages (-want +got)\n%s", label, field, cmp.Diff(want, paged))
	}
}

// An attribute can be selected where an inventory promotes it.
func TestUnpromotedAttributesAreNamed(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 3)
	addInventory(s, platform, 3)
	before := strconv.FormatUint(s.State().Version, 10)
	s.Update(func(tx *inventory.Tx) { tx.SetTarget(*targetOf(platform), columns[:1]) })
	const fixed = "inventory, source.group, source.kind, source.name, source.namespace, source.resource, source.uid, target"
	const both = ", attributes.image, attributes.replicas"
	for _, test := range []struct {
		resource, namespace, field, want string
	}{
		{"inventoryrows", "", "attributes.replicas=1", ""},
		{"inventoryrows", "team-a", "attributes.replicas!=1", ""},
		{"inventoryrows", "team-a", "attributes.replica=1", `"attributes.replica": valid are metadata.name, metadata.namespace, ` + fixed + both},
		{"inventoryrows", "team-a", "target=x,attributes.replica!=1", `"attributes.replica": valid are metadata.name, metadata.namespace, ` + fixed + both},
		{"inventoryrows", "team-a", "attributes.replicas=1,inventory=none", `"attributes.replicas": valid are metadata.name, metadata.namespace, ` + fixed},
		{"inventoryrows", "team-b", "attributes.replicas=1", `"attributes.replicas": valid are metadata.name, metadata.namespace, ` + fixed},
		{"clusterinventoryrows", "", "attributes.image=x", ""},
		{"clusterinventoryrows", "", "attributes.replicas=1", `"attributes.replicas": valid are metadata.name, ` + fixed + ", attributes.image"},
	} {
		o := options{FieldSelector: fields.ParseSelectorOrDie(test.field)}
		_, err := storages[test.resource].(rest.Lister).List(in(t, test.namespace), &o)
		checkBadRequest(t, "list of "+test.field, err, test.want)
		w, err := storages[test.resource].(rest.Watcher).Watch(in(t, test.namespace), &o)
		checkBadRequest(t, "watch of "+test.field, err, test.want)
		if err == nil {
			w.Stop()
		}
	}
	past := mustList(t, in(t, ""), storages["clusterinventoryrows"], options{
		FieldSelector:   fields.ParseSelectorOrDie("attributes.replicas=1"),
		ResourceVersion: before, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	})
	if got := keysOf(past); len(got) != 1 {
		t.Errorf("when the attribute was promoted: got %v, want one row", got)
	}
}

// checkBadRequest checks that an error ends in want, or that there is none.
func checkBadRequest(t *testing.T, of string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", of, err)
	case want != "" && (!errors.IsBadRequest(err) || !strings.HasSuffix(err.Error(), want)):
		t.Errorf("%s: got %v, want a bad request that ends in %s", of, err, want)
	}
}

func TestUnknownFieldsAreNamed(t *testing.T) {
	scheme := newScheme(t)
	for name, storage := range New(inventory.NewStore(inventory.Options{Epoch: 3}), NewSerializer(scheme), nobody, nil) {
		if strings.Contains(name, "/") {
			continue // of one object
		}
		gvks, _, err := scheme.ObjectKinds(storage.New())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := scheme.ConvertFieldLabel(gvks[0], "metadata.name", "x"); err != nil {
			t.Errorf("%s: %v", gvks[0].Kind, err)
		}
		_, _, err = scheme.ConvertFieldLabel(gvks[0], "spec.x", "x")
		if want := `"spec.x": valid are metadata.name`; err == nil || !cmp.Equal(want, fmt.Sprint(err)[len("field label not supported: "):][:len(want)]) {
			t.Errorf("%s: got %v", gvks[0].Kind, err)
		}
	}
}

func TestListsAreLists(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 10)
	l := mustList(t, in(t, "team-a"), storages["inventoryrows"], options{})
	if !meta.IsListType(l) {
		t.Error("not a list type")
	}
	n := 0
	err := meta.EachListItem(l, func(o runtime.Object) error {
		n++
		m, err := meta.Accessor(o)
		if err == nil && m.GetNamespace() != "team-a" {
			t.Errorf("item in namespace %q", m.GetNamespace())
		}
		return err
	})
	if err != nil || n != 10 {
		t.Errorf("got %d items, error %v", n, err)
	}
	if l.DeepCopyObject().(*list[row]).ResourceVersion != l.ResourceVersion {
		t.Error("a copy differs")
	}
}
