package inventory

import (
	"context"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"kollect.io/kollect/pkg/inventory"
)

// putPod puts a row of another kind into an inventory.
func putPod(s *inventory.Store, ref inventory.Ref) {
	change(s, inventory.NewRow(inventory.RowContent{
		Resource: &inventory.Resource{Version: "v1", Resource: "pods", Kind: "Pod"}, Target: targetOf(ref),
		Namespace: "source", Name: "pod", UID: "uid-of-pod",
	}))
}

// The promoted attributes are columns if one inventory or one kind is listed.
func TestTablesOfOneKind(t *testing.T) {
	web := inventory.Ref{Namespace: "team-a", Name: "web"}
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 2)
	addInventory(s, web, 2)
	storage := storages["inventoryrows"]
	hasImage := func(selector string) bool {
		t.Helper()
		o := options{}
		if selector != "" {
			o.FieldSelector = fields.ParseSelectorOrDie(selector)
		}
		table := mustTable(t, storage, mustList(t, in(t, "team-a"), storage, o), "")
		if len(table.Rows) == 0 {
			t.Errorf("%q selects nothing", selector)
		}
		return slices.Contains(columnNames(table), "Image")
	}
	if !hasImage("") {
		t.Error("two inventories of one kind have no columns")
	}
	putPod(s, apps)
	for selector, want := range map[string]bool{
		"":                               false,
		"source.kind=Deployment":         true,
		"source.kind!=Pod":               false,
		"inventory=apps":                 true,
		"inventory=web":                  true,
		"source.namespace=source":        false,
		"inventory=apps,source.kind=Pod": true,
	} {
		if got := hasImage(selector); got != want {
			t.Errorf("%q: columns %v, want %v", selector, got, want)
		}
	}
}

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// Who looks at a table is told which of its rows may be out of date.
func TestTablesWarnOfStaleness(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 2)
	addInventory(s, platform, 2)
	warned := func(name string, ctx context.Context) []string {
		t.Helper()
		var got warnings
		l, err := storages[name].(rest.Lister).List(ctx, &options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := storages[name].(rest.TableConvertor).ConvertToTable(warning.WithWarningRecorder(ctx, &got), l, nil); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := warned("inventoryrows", in(t, "team-a")); len(got) > 0 {
		t.Errorf("nothing is stale: got %q", got)
	}
	s.Update(func(tx *inventory.Tx) {
		tx.SetTargetState(*targetOf(apps), inventory.TargetState{Synced: true, Stale: true, Message: "forbidden"})
	})
	if got := warned("inventoryrows", in(t, "team-a")); len(got) != 1 || !strings.Contains(got[0], "rows of team-a/apps may be out of date") {
		t.Errorf("a target is stale: got %q", got)
	}
	for name, namespace := range map[string]string{"inventoryrows": "team-b", "clusterinventoryrows": "", "inventories": "team-a"} {
		if got := warned(name, in(t, namespace)); len(got) > 0 {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
