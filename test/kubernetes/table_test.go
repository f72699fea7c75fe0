package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

// The specs are those of test/e2e/apimachinery/table_conversion.go; what kubectl
// prints of tables is tested with kubectl.

func TestServersWithSupportForTableTransformation(t *testing.T) {
	t.Parallel()
	s := begin(t, "tables")
	const rows = 20
	s.create(rows)
	for _, v := range s.views {
		for _, version := range []string{"v1", "v1beta1"} {
			t.Run(v.resource+" as "+version, func(t *testing.T) {
				t.Run("should return details", func(t *testing.T) { s.tableOfOne(t, v, version) })
				t.Run("should return chunks of table results for list calls", func(t *testing.T) { s.tableInChunks(t, v, version) })
				t.Run("should return details across all namespaces", func(t *testing.T) { s.tableOfAll(t, v, version, rows*v.each) })
			})
		}
	}
	t.Run("should return a 406 for a backend which does not implement metadata", s.tableOfNoTable)
}

func (s *scene) tableOfOne(t *testing.T, v view, version string) {
	// Rows of other tests may go meanwhile.
	list, err := v.client.List(t.Context(), metav1.ListOptions{FieldSelector: v.scope, Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("list a row: %v", err)
	}
	name := list.Items[0].GetName()
	table := s.table(t, v.config, version, s.path(v)+"/"+name, nil)
	if len(table.Rows) != 1 {
		t.Fatalf("got %d rows, want 1", len(table.Rows))
	}
	wantTable(t, table)
	if got := table.Rows[0].Cells[0]; got != name {
		t.Errorf("first cell: got %v, want %s", got, name)
	}
	if got, want := table.ResourceVersion, list.Items[0].GetResourceVersion(); got != want {
		t.Errorf("version: got %q, want that of the row, %s", got, want)
	}
}

func (s *scene) tableInChunks(t *testing.T, v view, version string) {
	list, err := v.client.List(t.Context(), metav1.ListOptions{FieldSelector: v.scope})
	if err != nil {
		t.Fatal(err)
	}
	names := func(table *metav1.Table) []any {
		t.Helper()
		wantTable(t, table)
		var names []any
		for i := range table.Rows {
			names = append(names, table.Rows[i].Cells[0])
		}
		return names
	}
	first := s.table(t, v.config, version, s.path(v), &metav1.ListOptions{FieldSelector: v.scope, Limit: 2})
	if first.ResourceVersion == "" || first.Continue == "" {
		t.Errorf("got version %q and token %q, want both", first.ResourceVersion, first.Continue)
	}
	rest := s.table(t, v.config, version, s.path(v), &metav1.ListOptions{FieldSelector: v.scope, Continue: first.Continue})
	if got := len(first.Rows); got != 2 {
		t.Errorf("first chunk: got %d rows, want 2", got)
	}
	if rest.ResourceVersion != first.ResourceVersion || rest.Continue != "" {
		t.Errorf("rest: got version %q and token %q, want %q and none", rest.ResourceVersion, rest.Continue, first.ResourceVersion)
	}
	all := append(names(first), names(rest)...)
	if len(all) != len(list.Items) {
		t.Fatalf("got %d rows, want %d", len(all), len(list.Items))
	}
	for i := range all {
		if want := list.Items[i].GetName(); all[i] != want {
			t.Errorf("row %d: got %v, want %s", i, all[i], want)
		}
	}
}

func (s *scene) tableOfAll(t *testing.T, v view, version string, atLeast int) {
	config := v.config
	if v.resource == "inventoryrows" { // which the reader may read in its namespace only
		config = s.cp.Config()
	}
	table := s.table(t, config, version, "/apis/"+inventoryv1alpha1.SchemeGroupVersion.String()+"/"+v.resource, nil)
	if len(table.Rows) < atLeast || table.ResourceVersion == "" {
		t.Errorf("got %d rows of version %q, want %d at least of some version", len(table.Rows), table.ResourceVersion, atLeast)
	}
	wantTable(t, table)
}

// tableOfNoTable asks for tables of what is not a list or a row.
func (s *scene) tableOfNoTable(t *testing.T) {
	for _, subresource := range []string{"diff?from=1", "snapshot"} {
		client, err := rest.HTTPClientFor(s.reader)
		if err != nil {
			t.Fatal(err)
		}
		path := fmt.Sprintf("%s/apis/%s/namespaces/%s/inventories/%s/%s", s.reader.Host, inventoryv1alpha1.SchemeGroupVersion, s.ns, inventory, subresource)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept("v1"))
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotAcceptable {
			t.Errorf("%s: got %s, want 406", subresource, response.Status)
		}
	}
}

// wantTable wants more than two columns, the first of which is the name, and as
// many cells in each row.
func wantTable(t *testing.T, table *metav1.Table) {
	t.Helper()
	if got := len(table.ColumnDefinitions); got <= 2 {
		t.Fatalf("got %d columns", got)
	}
	if got := table.ColumnDefinitions[0].Name; got != "Name" {
		t.Errorf("first column: got %s, want Name", got)
	}
	for i := range table.Rows {
		if got, want := len(table.Rows[i].Cells), len(table.ColumnDefinitions); got != want {
			t.Errorf("row %d: got %d cells, want %d", i, got, want)
		}
	}
}

func accept(version string) string {
	return "application/json;as=Table;v=" + version + ";g=meta.k8s.io"
}

func (s *scene) path(v view) string {
	if v.resource == "clusterinventoryrows" {
		return "/apis/" + inventoryv1alpha1.SchemeGroupVersion.String() + "/" + v.resource
	}
	return "/apis/" + inventoryv1alpha1.SchemeGroupVersion.String() + "/namespaces/" + s.ns + "/" + v.resource
}

// table gets a table in a version of the API of tables.
func (s *scene) table(t *testing.T, config *rest.Config, version, path string, options *metav1.ListOptions) *metav1.Table {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	request := client.Discovery().RESTClient().Get().AbsPath(path).SetHeader("Accept", accept(version))
	if options != nil {
		request = request.SpecificallyVersionedParams(options, metav1.ParameterCodec, metav1.SchemeGroupVersion)
	}
	body, err := request.DoRaw(t.Context())
	if err != nil {
		t.Fatalf("get %s as a table: %v", path, err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(body, table); err != nil {
		t.Fatalf("get %s as a table: %v", path, err)
	}
	if want := "meta.k8s.io/" + version; table.APIVersion != want || table.Kind != "Table" {
		t.Errorf("get %s as a table: got %s %s, want one of %s", path, table.APIVersion, table.Kind, want)
	}
	return table
}

// tables returns a client to which a view's rows are tables.
func (s *scene) tables(v view) dynamic.ResourceInterface {
	s.Helper()
	config := dynamic.ConfigFor(v.config)
	config.AcceptContentTypes = accept("v1")
	config.GroupVersion = &inventoryv1alpha1.SchemeGroupVersion
	client, err := rest.RESTClientFor(config)
	s.must(err)
	all := dynamic.New(client).Resource(inventoryv1alpha1.SchemeGroupVersion.WithResource(v.resource))
	if v.resource == "clusterinventoryrows" {
		return all
	}
	return all.Namespace(s.ns)
}
