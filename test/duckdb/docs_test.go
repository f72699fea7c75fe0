package duckdb_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
	"kollect.io/kollect/test/services/versity"
)

// blocks returns the code blocks of a language in a document, in order.
func blocks(t *testing.T, document, language string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "```"+language+"\n")[1:] {
		block, _, closed := strings.Cut(part, "\n```")
		if !closed {
			t.Fatalf("%s: a block has no end", document)
		}
		found = append(found, block)
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %s", document, language)
	}
	return found
}

// fillDocumented exports what the documents ask for.
func (b *bucket) fillDocumented() {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.26")
	b.exportAt(s, 40, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC))
	s.Set("web", "nginx:1.27")
	b.exportAt(s, 41, time.Now().Add(-25*time.Hour))
	s.Set("web", "nginx:1.28")
	s.Set("api", "nginx:1.28")
	b.exportAt(s, 42, time.Now().Add(-time.Hour))
	other := sinktest.NewSampleOf("prod-1", inventory.Ref{Name: "platform"})
	other.Promote(promoted(inventory.ColumnInteger)...)
	other.SetAttributes("ingress", `{"image":"haproxy","x":1}`)
	b.exportAt(other, 1, time.Now().Add(-time.Hour))
}

// testDocumentedSQL runs the documents' statements as they are written. Each that
// reads has something to show.
func testDocumentedSQL(t *testing.T, b *bucket) {
	stale := slices.DeleteFunc(blocks(t, "fleet.md", "sql"), func(block string) bool { return !strings.Contains(block, "DuckDB") })
	if len(stale) != 1 {
		t.Fatalf("fleet.md has %d blocks for DuckDB", len(stale))
	}
	for _, block := range append(blocks(t, "sql.md", "sql"), stale...) {
		for statement := range strings.SplitSeq(block, ";\n") {
			got, err := b.tryQuery(t.Context(), statement)
			if err != nil {
				t.Errorf("%s\n%v", statement, err)
			}
			if len(got) == 0 && !strings.HasPrefix(statement, "SET ") {
				t.Errorf("%s\nhas nothing to show", statement)
			}
		}
	}
}

// testDocumentedPython runs the documents' program as it is written, and compares
// what pyarrow reads with what DuckDB does. It takes all but the server's address
// from where programs take it for Amazon's.
func testDocumentedPython(t *testing.T, b *bucket) {
	program := `
import functools, pyarrow.fs
pyarrow.fs.S3FileSystem = functools.partial(pyarrow.fs.S3FileSystem, endpoint_override="` + b.proxy.address() + `", scheme="http")
` + strings.Join(blocks(t, "sql.md", "python"), "\n") + `
types = {f.name: str(f.type) for f in rows.schema}
print(json.dumps({
    "table": table.to_pylist(),
    "types": {name: types[name] for name in ("generation", "exported_at", "attributes", "attr_image", "attr_replicas", "attr_x")},
    "one": rows.to_table(filter=ds.field("attr_x") == 1).to_pylist()[0]["attributes"],
}))
`
	cmd := exec.CommandContext(t.Context(), b.python, "-c", program)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+versity.AccessKey, "AWS_SECRET_ACCESS_KEY="+versity.SecretKey,
		"AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
	var read struct {
		Table []struct {
			Cluster string
			Name    string `json:"resource_name"`
			Image   string `json:"attr_image"`
		}
		Types map[string]string
		One   string
	}
	if err := json.Unmarshal([]byte(output(t, cmd)), &read); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range read.Table {
		got = append(got, row.Cluster+"|"+row.Name+"|"+row.Image)
	}
	b.query(`SET VARIABLE inventory_files = inventory_files()`)
	b.want(`SELECT cluster, resource_name, attr_image FROM inventory_current WHERE kind = 'Deployment' ORDER BY ALL`, got...)
	if diff := cmp.Diff(map[string]string{
		"generation": "int64", "exported_at": "timestamp[ms, tz=UTC]", "attributes": "string",
		"attr_image": "string", "attr_replicas": "int64", "attr_x": "int64",
	}, read.Types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if want := `{"image":"haproxy","x":1}`; read.One != want {
		t.Errorf("attributes are %s, want %s", read.One, want)
	}
	if data, _ := b.proxy.taken(); len(data) != 2 {
		t.Errorf("read %v, want the two current files", data)
	}
}
