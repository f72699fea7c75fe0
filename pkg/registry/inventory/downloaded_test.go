package inventory

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/format"
)

// ask returns the answer to a request with the given headers, name and value in
// turn, without decompressing it.
func ask(t testing.TB, config *rest.Config, method, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	config = rest.CopyConfig(config)
	config.DisableCompression = true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, config.Host+"/apis/inventory.kollect.io/v1alpha1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// flat is a row as any of the representations has it.
type flat struct {
	Inventory, Cluster, Target, Group, Version, Resource, Kind, Namespace, Name, UID, Created string
	Labels                                                                                    map[string]string
	Attributes                                                                                map[string]any
}

// jsonRow is a row in JSON, of a list or of a file.
type jsonRow struct {
	Metadata struct {
		Name      string
		Namespace string
		Labels    map[string]string
	}
	Key, Inventory, InventoryNamespace, Cluster string
	Target                                      struct{ Namespace, Name string }
	Source                                      struct {
		Group, Version, Resource, Kind, Namespace, Name, UID string
		CreationTimestamp                                    string
	}
	Labels     map[string]string
	Attributes map[string]any
}

func (r jsonRow) flat() (key string, row flat) {
	key = r.Key
	if r.Metadata.Name != "" {
		key = strings.TrimPrefix(r.Metadata.Name, r.Inventory+".")
		r.Labels, r.InventoryNamespace = r.Metadata.Labels, r.Metadata.Namespace
	}
	s := r.Source
	return key, flat{
		r.InventoryNamespace + "/" + r.Inventory, r.Cluster, r.Target.Namespace + "/" + r.Target.Name,
		s.Group, s.Version, s.Resource, s.Kind, s.Namespace, s.Name, s.UID, s.CreationTimestamp, r.Labels, r.Attributes,
	}
}

// columnsRow makes a row of columns by name.
func columnsRow(t *testing.T, c map[string]string) (key string, row flat) {
	t.Helper()
	row = flat{
		c["inventory_namespace"] + "/" + c["inventory_name"], c["cluster"], c["target_namespace"] + "/" + c["target_name"],
		c["api_group"], c["api_version"], c["resource"], c["kind"], c["resource_namespace"], c["resource_name"], c["uid"], c["created_at"], nil, nil,
	}
	for text, into := range map[string]any{c["labels"]: &row.Labels, c["attributes"]: &row.Attributes} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	var image any
	if text, ok := c["attr_image"]; ok && text != "" {
		image = text
	}
	if want := row.Attributes["image"]; image != want && want != "" {
		t.Errorf("row %s: column %v, attribute %v", row.Name, image, want)
	}
	return c["row_key"], row
}

// downloaded reads the rows of a file by key.
func downloaded(t *testing.T, f format.Format, data []byte) map[string]flat {
	t.Helper()
	rows := map[string]flat{}
	put := func(key string, row flat) {
		if _, ok := rows[key]; ok || key == "" {
			t.Fatalf("%s: key %q twice", f, key)
		}
		rows[key] = row
	}
	switch f {
	case format.JSON:
		var document struct{ Items, Rows []jsonRow }
		if err := json.Unmarshal(data, &document); err != nil {
			t.Fatal(err)
		}
		for _, r := range append(document.Items, document.Rows...) {
			put(r.flat())
		}
	case format.NDJSON:
		for line := range bytes.Lines(data) {
			var r jsonRow
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			put(r.flat())
		}
	case format.CSV:
		lines, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines[1:] {
			columns := map[string]string{}
			for i, name := range lines[0] {
				columns[name] = line[i]
			}
			put(columnsRow(t, columns))
		}
	case format.Parquet:
		for _, columns := range parquetRows(t, data) {
			put(columnsRow(t, columns))
		}
	}
	return rows
}

func parquetRows(t *testing.T, data []byte) []map[string]string {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	names := file.Schema().Columns()
	var all []map[string]string
	rows := parquet.NewReader(file)
	for buf := make([]parquet.Row, 10); ; {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			columns := map[string]string{}
			for _, v := range row {
				switch name := names[v.Column()][0]; {
				case v.IsNull():
				case name == "created_at":
					columns[name] = time.UnixMilli(v.Int64()).UTC().Format(time.RFC3339)
				default:
					columns[name] = v.String()
				}
			}
			all = append(all, columns)
		}
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
