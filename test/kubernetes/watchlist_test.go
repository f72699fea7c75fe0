package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/watchlist"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

// The specs are those of test/e2e/apimachinery/watchlist.go that are about a
// server: some only test clients.

var watchListed = map[string]string{"watchlist": "true"}

func TestWatchListsFillInformers(t *testing.T) {
	t.Parallel()
	s := begin(t, "watchlist")
	for i := range 5 {
		s.putWait(fmt.Sprintf("object-%d", i+1), watchListed, map[string]string{"value": "0"})
	}
	selection := metav1.ListOptions{LabelSelector: "watchlist=true"}
	stores, metas := make([]cache.Store, len(s.views)), make([]cache.Store, len(s.views))
	clients := make([]metadata.ResourceInterface, len(s.views))
	for i, v := range s.views {
		stores[i] = s.informer(v, selection, v.client.Watch, &unstructured.Unstructured{}).GetStore()
		clients[i] = s.metadata(v)
		metas[i] = s.informer(v, selection, clients[i].Watch, &metav1.PartialObjectMetadata{}).GetStore()
	}
	same := func() {
		t.Helper()
		for i, v := range s.views {
			s.until(func() error {
				list, err := v.client.List(t.Context(), selection)
				if err != nil {
					return err
				}
				return wantSame(v.resource, stores[i], list.Items, 5*v.each)
			})
			s.until(func() error {
				list, err := clients[i].List(t.Context(), selection)
				if err != nil {
					return err
				}
				return wantSame("metadata of "+v.resource, metas[i], list.Items, 5*v.each)
			})
		}
	}
	same()
	s.putWait("object-1", watchListed, map[string]string{"value": "1"})
	same()
}

func (s *scene) metadata(v view) metadata.ResourceInterface {
	s.Helper()
	client, err := metadata.NewForConfig(v.config)
	s.must(err)
	all := client.Resource(inventoryv1alpha1.SchemeGroupVersion.WithResource(v.resource))
	if v.resource == "clusterinventoryrows" {
		return all
	}
	return all.Namespace(s.ns)
}

// wantSame wants n objects in a store, and those of a list.
func wantSame[T any, P interface {
	*T
	metav1.Object
}](what string, store cache.Store, list []T, n int) error {
	got, want := map[string]P{}, map[string]P{}
	for _, object := range store.List() {
		row := object.(P)
		got[row.GetNamespace()+"/"+row.GetName()] = row
	}
	for i := range list {
		row := P(&list[i])
		want[row.GetNamespace()+"/"+row.GetName()] = row
	}
	if len(got) != n {
		return fmt.Errorf("%s: got %d objects, want %d", what, len(got), n)
	}
	// What an object is, lists of metadata say once, and decoders leave out.
	if diff := cmp.Diff(want, got, cmpopts.IgnoreTypes(metav1.TypeMeta{})); diff != "" {
		return fmt.Errorf("%s: -list +informer\n%s", what, diff)
	}
	return nil
}

func TestWatchListsComeAsTables(t *testing.T) {
	t.Parallel()
	s := begin(t, "watchlist-table")
	for i := range 5 {
		s.putWait(fmt.Sprintf("object-%d", i+1), watchListed, nil)
	}
	options, prepared, err := watchlist.PrepareWatchListOptionsFromListOptions(metav1.ListOptions{LabelSelector: "watchlist=true"})
	s.must(err)
	if !prepared {
		t.Fatal("no options for a watch list")
	}
	for _, v := range s.views {
		t.Run(v.resource, func(t *testing.T) {
			rows, err := v.client.List(t.Context(), metav1.ListOptions{LabelSelector: "watchlist=true"})
			if err != nil {
				t.Fatal(err)
			}
			tables := s.in(t).tables(v)
			w, err := tables.Watch(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			for i := range rows.Items {
				object, err := tables.Get(t.Context(), rows.Items[i].GetName(), metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				want, got := tableOf(t, object), nextTable(t, w, watch.Added)
				columns := want.ColumnDefinitions
				if i > 0 { // the first event has them
					want.ColumnDefinitions = nil
				}
				withoutAge(want, columns)
				withoutAge(got, columns)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("event %d: -get +watch\n%s", i, diff)
				}
			}
			mark := nextTable(t, w, watch.Bookmark)
			if len(mark.Rows) != 1 {
				t.Fatalf("bookmark: got %d rows, want 1", len(mark.Rows))
			}
			if got := metaOf(t, &mark.Rows[0]).Annotations[metav1.InitialEventsAnnotationKey]; got != "true" {
				t.Errorf("bookmark: annotation of the initial events: got %q", got)
			}
		})
	}
}

// withoutAge empties the cells that change by themselves.
func withoutAge(table *metav1.Table, columns []metav1.TableColumnDefinition) {
	age := slices.IndexFunc(columns, func(c metav1.TableColumnDefinition) bool { return c.Name == "Age" })
	for i := range table.Rows {
		if age >= 0 && age < len(table.Rows[i].Cells) {
			table.Rows[i].Cells[age] = ""
		}
	}
}

func nextTable(t *testing.T, w watch.Interface, kind watch.EventType) *metav1.Table {
	t.Helper()
	e := nextOf(t, w)
	if e.Type != kind {
		t.Fatalf("got %s %v, want %s", e.Type, e.Object, kind)
	}
	return tableOf(t, e.Object.(*unstructured.Unstructured))
}

func tableOf(t *testing.T, object *unstructured.Unstructured) *metav1.Table {
	t.Helper()
	if got := object.GroupVersionKind(); got != metav1.SchemeGroupVersion.WithKind("Table") {
		t.Fatalf("got %s, want a table", got)
	}
	table := &metav1.Table{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(maps.Clone(object.Object), table); err != nil {
		t.Fatal(err)
	}
	return table
}

func metaOf(t *testing.T, row *metav1.TableRow) *metav1.PartialObjectMetadata {
	t.Helper()
	object := &metav1.PartialObjectMetadata{}
	if err := json.Unmarshal(row.Object.Raw, object); err != nil {
		t.Fatalf("object of a table's row: %v", err)
	}
	return object
}
