package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kollect.io/kollect/test/controlplane"
)

// What kubectl shows, what the head says and what lies in the sinks are one
// snapshot, of a namespaced inventory in Parquet and of a cluster inventory in
// JSON.
func TestSinksHoldWhatTheAPIServes(t *testing.T) {
	s := begin(t, "one-snapshot")
	const rows = 23
	for i := range rows {
		s.put(fmt.Sprintf("settings-%02d", i), strings.Repeat("x", i))
	}
	s.apply(settings + exported("lake", "parquet") + `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterProfile
metadata: {name: NS, labels: {e2e: NS}}
spec:
  resource: {kind: ConfigMap}
  attributes: [{name: value, jsonPath: "{.data.value}"}]
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: NS, labels: {e2e: NS}}
spec: {profileRef: {name: NS}, namespaces: {names: [NS]}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: NS, labels: {e2e: NS}}
spec: {type: objectStore, objectStore: {url: "file:///NS", format: json}, minWriteInterval: 0s}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: NS, labels: {e2e: NS}}
spec: {targetSelector: {matchLabels: {e2e: NS}}, sinkRefs: [{name: NS}]}
`)

	lake, portal := s.exports(s.ns, "lake"), s.exports("", s.ns)
	parquet := s.wantExport(lake, above(0, rows))
	s.wantHead(s.ns, "lake", exportedAt(parquet))
	s.wantHead("", s.ns, exportedAt(s.wantExport(portal, above(0, rows))))

	for _, args := range []string{"get invrow -n " + s.ns, "get cinvrow --field-selector inventory=" + s.ns} {
		out := s.cp.MustKubectl(t, append(strings.Fields(args), "--no-headers")...)
		if got := strings.Count(out, "\n"); got != rows {
			t.Errorf("kubectl %s: got %d rows, want %d:\n%s", args, got, rows, out)
		}
	}

	_, data, err := portal.read()
	s.must(err)
	var snapshot struct {
		Metadata struct{ ContentHash string }
		Rows     []struct {
			Source     struct{ Name, Namespace, UID string }
			Attributes struct{ Value string }
		}
	}
	s.must(json.Unmarshal(data, &snapshot))
	for i, row := range snapshot.Rows {
		if row.Source.Name != fmt.Sprintf("settings-%02d", i) || len(row.Attributes.Value) != i || row.Source.Namespace != s.ns || row.Source.UID == "" {
			t.Errorf("row %d as JSON: got %+v", i, row)
		}
	}

	var answer struct {
		Rows, Longest, Integers, Tagged, Kinds int64
	}
	s.duckDB(&answer, fmt.Sprintf(`SELECT count(*) AS rows, max(attr_size) AS longest,
		count(*) FILTER (typeof(attr_size) = 'BIGINT' AND length(attr_value) = attr_size) AS integers,
		count(*) FILTER (attributes->'tags'->1->>'tag' = 'a') AS tagged,
		count(DISTINCT kind || resource_namespace) AS kinds
		FROM read_parquet('%s')`, filepath.Join(lake.root, parquet.Data)))
	if answer.Rows != rows || answer.Longest != rows-1 || answer.Integers != rows || answer.Tagged != rows || answer.Kinds != 1 {
		t.Errorf("DuckDB reads: got %+v, want %d rows, all typed", answer, rows)
	}
}

// duckDB puts the one row that a query returns into answer.
func (s *scene) duckDB(answer any, query string) {
	s.Helper()
	root, err := controlplane.Root()
	s.must(err)
	binary := filepath.Join(s.TempDir(), "query")
	build := exec.CommandContext(s.Context(), "go", "build", "-o", binary, "./cmd/query")
	build.Dir = filepath.Join(root, "test", "duckdb")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		s.Fatalf("build the reader with DuckDB, which needs a C compiler: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(s.Context(), binary, query).CombinedOutput()
	if err != nil {
		s.Fatalf("%s: %v\n%s", query, err, out)
	}
	s.must(json.Unmarshal(out, answer))
}

// An inventory that became empty is exported as empty. If that is a lot at once,
// the guard against mass deletion looks twice, unless the sink says that it need not.
func TestAnEmptiedInventoryIsExportedAsEmpty(t *testing.T) {
	s := begin(t, "emptied")
	const rows = 120 // enough for the guard to care
	fill := func() {
		t.Helper()
		for i := range rows {
			s.put(fmt.Sprintf("settings-%03d", i), "x")
		}
	}
	empty := func() {
		t.Helper()
		s.cp.MustKubectl(t, "delete", "configmaps", "-n", s.ns, "-l", "app=e2e", "--wait=false")
	}
	fill()
	s.apply(settings + exported("lake", "parquet") + exported("lines", "ndjson"))
	lake, lines := s.exports(s.ns, "lake"), s.exports(s.ns, "lines")
	full, fullLines := s.wantExport(lake, above(0, rows)), s.wantExport(lines, above(0, rows))

	t.Log("one after another")
	empty()
	s.wantRows("lake")
	latest := s.wantExport(lake, above(full.Generation, 0))
	s.wantExport(lines, above(fullLines.Generation, 0))
	s.wantHead(s.ns, "lake", exportedAt(latest))
	s.wantCondition("kinv/lake", "Synced", "True")

	t.Log("all at once, in the eyes of a server that is started later")
	fill()
	full = s.wantExport(lake, above(latest.Generation, rows))
	fullLines = s.wantExport(lines, above(fullLines.Generation, rows))
	s.cp.MustKubectl(t, "patch", "ksink/lines", "-n", s.ns, "--type=merge", "-p", `{"spec":{"massDeletion":"Allow"}}`)
	s.stop(s.server.Kill)
	empty()
	s.must(s.server.Start(t.Context()))
	s.wantCondition("kinv/lake", "Exported", "False", "MassDelete", "would remove 120 of 120 rows", "spec.massDeletion is Allow")
	latest = s.wantExport(lake, above(full.Generation, 0))
	s.wantExport(lines, above(fullLines.Generation, 0))
	s.wantEvent("kinv/lake", "MassDelete")
	if events := s.cp.MustKubectl(t, "get", "events", "-n", s.ns, "--field-selector", "involvedObject.name=lines"); strings.Contains(string(events), "MassDelete") {
		t.Errorf("the export to a sink that allows it was held back:\n%s", events)
	}
	s.wantHead(s.ns, "lake", exportedAt(latest))

	s.put("again", "x")
	s.wantExport(lake, above(latest.Generation, 1))
}
