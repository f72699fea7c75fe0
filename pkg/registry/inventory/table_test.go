package inventory

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

func mustTable(t *testing.T, s rest.Storage, o runtime.Object, include metav1.IncludeObjectPolicy) *metav1.Table {
	t.Helper()
	table, err := s.(rest.TableConvertor).ConvertToTable(t.Context(), o, &metav1.TableOptions{IncludeObject: include})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows {
		if len(row.Cells) != len(table.ColumnDefinitions) {
			t.Fatalf("%d cells in %d columns", len(row.Cells), len(table.ColumnDefinitions))
		}
		for i, cell := range row.Cells {
			_, isText := cell.(string)
			if (table.ColumnDefinitions[i].Type == "string") != isText && cell != nil {
				t.Errorf("column %s: got %T", table.ColumnDefinitions[i].Name, cell)
			}
		}
	}
	return table
}

func columnNames(t *metav1.Table) (names []string) {
	for _, c := range t.ColumnDefinitions {
		names = append(names, c.Name)
	}
	return names
}

func TestTablesOfRows(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 5)
	rows := storages["inventoryrows"]
	l := mustList(t, in(t, "team-a"), rows, options{Limit: 2})
	table := mustTable(t, rows, l, "")
	want := []string{"Name", "Kind", "Source Namespace", "Source", "Target", "Image", "Replicas", "Age", "UID", "Cluster"}
	if diff := cmp.Diff(want, columnNames(table)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(l.ListMeta, table.ListMeta); diff != "" {
		t.Error(diff)
	}
	object := mustFirst(l)
	replicas, _ := inventory.Member(object.Row.Attributes(), "replicas")
	cells := []any{object.name(), "Deployment", "source", object.Row.Name(), "team-a/apps", "nginx:1.27", json.Number(replicas)}
	if diff := cmp.Diff(cells, table.Rows[0].Cells[:7]); diff != "" {
		t.Error(diff)
	}
	for include, want := range map[metav1.IncludeObjectPolicy]runtime.Object{
		"":                     &metav1.PartialObjectMetadata{ObjectMeta: object.meta()},
		metav1.IncludeMetadata: &metav1.PartialObjectMetadata{ObjectMeta: object.meta()},
		metav1.IncludeNone:     &metav1.PartialObjectMetadata{},
		metav1.IncludeObject:   object.typed(),
	} {
		if diff := cmp.Diff(want, mustTable(t, rows, l, include).Rows[0].Object.Object); diff != "" {
			t.Errorf("include %q: %s", include, diff)
		}
	}
	one := mustTable(t, rows, newStore(s, rowsOf(rows), "").item(object), "")
	if one.ResourceVersion != version(object.Version) || len(one.Rows) != 1 {
		t.Errorf("table of one: %d rows at %s", len(one.Rows), one.ResourceVersion)
	}

	addInventory(s, inventory.Ref{Namespace: "team-b", Name: "x"}, 1)
	putPod(s, apps)
	table = mustTable(t, rows, mustList(t, in(t, ""), rows, options{}), "")
	if diff := cmp.Diff([]string{"Name", "Kind", "Source Namespace", "Source", "Target", "Age", "UID", "Cluster"}, columnNames(table)); diff != "" {
		t.Errorf("of two inventories and two kinds: %s", diff)
	}
	marked := &inventoryv1alpha1.InventoryRow{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "12", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}}
	table = mustTable(t, rows, &bookmark{object: marked, shape: l.shape}, "")
	if table.ResourceVersion != "12" || len(table.Rows) != 1 || table.Rows[0].Object.Object != marked {
		t.Errorf("table of a bookmark: %+v", table)
	}
	if diff := cmp.Diff(want, columnNames(table)); diff != "" {
		t.Errorf("of a bookmark: %s", diff)
	}
}

func rowsOf(s rest.Storage) kind[row] { return s.(*store[row]).kind }

func mustFirst[T object](l *list[T]) T {
	for r := range l.objects {
		return r
	}
	panic("empty list")
}

func TestTablesOfInventories(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	addInventory(s, apps, 5)
	heads := storages["inventories"]
	result, err := heads.(rest.Lister).List(in(t, "team-a"), &options{})
	if err != nil {
		t.Fatal(err)
	}
	table := mustTable(t, heads, result, "")
	hash := s.State().Snapshot(apps).Hash().String()
	want := []any{"apps", json.Number("5"), "Deployment=5", json.Number("0"), hash[len("sha256:"):][:12], "True", "False", ""}
	if diff := cmp.Diff(want, table.Rows[0].Cells[:8]); diff != "" {
		t.Error(diff)
	}
}

func TestCells(t *testing.T) {
	row := inventory.NewRow(inventory.RowContent{
		Resource: nodes, Target: &inventory.TargetRef{Name: "t"},
		Attributes: []byte(`{"b":true,"i":-3,"l":[1],"n":null,"q":"\"","s":"x"}`),
	})
	for _, test := range []struct {
		name string
		of   inventory.ColumnType
		want string
	}{
		{"s", inventory.ColumnString, `"x"`}, {"q", inventory.ColumnString, `"\""`}, {"b", inventory.ColumnBoolean, `true`},
		{"i", inventory.ColumnInteger, `-3`}, {"i", inventory.ColumnNumber, `-3`}, {"l", inventory.ColumnString, `"[1]"`},
		{"n", inventory.ColumnString, `null`}, {"none", inventory.ColumnInteger, `null`},
		{"s", inventory.ColumnInteger, `"x"`}, {"s", inventory.ColumnBoolean, `"x"`}, {"i", inventory.ColumnString, `"-3"`}, {"b", inventory.ColumnInteger, `"true"`},
	} {
		columns := []inventory.Column{{Name: test.name, Type: test.of}}
		if got := string(newRowAppender().appendAttributes(nil, row.Attributes(), columns)); got != ","+test.want {
			t.Errorf("%s as %s: got %s, want %s", test.name, test.of, got, test.want)
		}
	}
	kinds := []inventory.KindCount{{Kind: "Deployment", Rows: 12}, {Kind: "Service", Rows: 7}, {Kind: "CustomResourceDefinition", Rows: 1}, {Kind: "ConfigMap", Rows: 100}}
	if got, want := kindsCell(kinds), "Deployment=12,Service=7,+2"; got != want {
		t.Errorf("kinds: got %s, want %s", got, want)
	}
	now := created.Add(time.Hour)
	for want, sinks := range map[string][]inventory.SinkState{
		"": nil, "never": {{LastSuccess: now}, {}}, "60m": {{LastSuccess: now}, {LastSuccess: created}},
	} {
		if got := exportedCell(sinks, now); got != want {
			t.Errorf("exported: got %q, want %q", got, want)
		}
	}
}
