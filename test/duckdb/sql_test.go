package duckdb_test

import (
	"os"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// newSQL is a lake that is read through the shipped SQL, as it is written.
func newSQL(t *testing.T) *lake {
	t.Helper()
	l := newLake(t, "parquet")
	l.ship()
	return l
}

// ship runs the shipped SQL, and says where the lake is.
func (l *lake) ship() {
	l.t.Helper()
	shipped, err := os.ReadFile("../../artifacts/sql/duckdb.sql")
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.db.ExecContext(l.t.Context(), string(shipped)); err != nil {
		l.t.Fatal(err)
	}
	l.query(`SET VARIABLE inventory_root = 'LAKE/'`)
}

// refresh has the shipped SQL look at what there is now.
func (l *lake) refresh() {
	l.t.Helper()
	l.query(`SET VARIABLE inventory_files = inventory_files()`)
}

// remember has it look at what there was, too.
func (l *lake) remember() {
	l.t.Helper()
	l.refresh()
	l.query(`SET VARIABLE inventory_history = inventory_history()`)
}

// refused wants an error that says so.
func (l *lake) refused(query, says string) {
	l.t.Helper()
	if _, err := l.tryQuery(l.t.Context(), query); err == nil || !strings.Contains(err.Error(), says) {
		l.t.Errorf("%s\ngot %v, want %q", query, err, says)
	}
}

const perInventory = `SELECT cluster, inventory_namespace, inventory_name, generation, count(*) FROM `

func (l *lake) wantRows(from string, want ...string) {
	l.t.Helper()
	l.want(perInventory+from+` GROUP BY ALL ORDER BY ALL`, append([]string{}, want...)...)
}

func TestCurrent(t *testing.T) {
	l := newSQL(t)
	a, b, cluster := teams()
	other := sinktest.NewSampleOf("prod", inventory.Ref{Namespace: "team-a", Name: "apps"})
	other.Fill(3)
	l.export(a, 1)
	l.export(b, 2)
	l.export(cluster, 3)
	l.export(other, 4)
	a.Set("new", "nginx:1.28")
	l.export(a, 12)
	l.refresh()
	l.wantRows(`inventory_current`, "demo||platform|3|5", "demo|team-a|apps|12|3", "demo|team-b|apps|2|1", "prod|team-a|apps|4|3")
	l.wantRows(`inventory_current('prod')`, "prod|team-a|apps|4|3")
	l.wantRows(`inventory_current('*', 'team-a')`, "demo|team-a|apps|12|3", "prod|team-a|apps|4|3")
	l.wantRows(`inventory_current(namespace := 'team-*', name := 'ap*')`, "demo|team-a|apps|12|3", "demo|team-b|apps|2|1", "prod|team-a|apps|4|3")
	l.wantRows(`inventory_current('d*', NULL)`, "demo||platform|3|5")
	l.wantRows(`inventory_current('pro')`)
	l.want(`SELECT attributes->>'$.ports[1]', labels->>'app', attr_image FROM inventory_current WHERE resource_name = 'new'`, "443|new|nginx:1.28")
	l.want(`SELECT cluster, namespace, name, generation, rows FROM inventories('d*') ORDER BY ALL`,
		"demo|team-a|apps|12|3", "demo|team-b|apps|2|1", "demo|<nil>|platform|3|5")

	// What is newer is not seen in part.
	a.Delete("web")
	l.export(a, 13)
	l.wantRows(`inventory_current('demo', 'team-a')`, "demo|team-a|apps|12|3")
	l.refresh()
	l.wantRows(`inventory_current('demo', 'team-a')`, "demo|team-a|apps|13|2")
}

// What became empty has no rows, what was removed is not there, and other formats
// are passed over: that nothing is left is no error.
func TestCurrentOfNothing(t *testing.T) {
	l := newSQL(t)
	a, b, _ := teams()
	l.export(a, 1)
	a.Delete()
	l.export(a, 2)
	l.refresh()
	l.wantRows(`inventory_current`)
	l.want(`SELECT count(attr_image) FROM inventory_current`, "0")
	if err := l.store.Forget(t.Context(), a.Snapshot().Inventory(), 3, time.Now()); err != nil {
		t.Fatal(err)
	}
	l.refresh()
	l.want(`SELECT name, generation, forgotten, file FROM inventories()`, "apps|3|true|<nil>")
	l.wantRows(`inventory_current`)
	l.want(`SELECT attributes->>'image', labels->>'app', exported_at FROM inventory_current`, []string{}...)
	l.refused(`SET VARIABLE inventory_history = inventory_history()`, "_manifests")
	l.store = l.open(kollectv1alpha1.ObjectStoreSink{URL: "file:///", Format: "ndjson"}, nil)
	l.export(b, 1)
	l.refresh()
	l.want(`SELECT namespace, format FROM inventories() WHERE NOT forgotten`, "team-b|ndjson")
	l.wantRows(`inventory_current`)
	l.query(`SET VARIABLE inventory_history = inventory_history()`)
	l.wantRows(`inventory_at(now())`)
	l.want(`FROM inventory_diff(now(), now())`, []string{}...)
}

// Who has forgotten a step is told which.
func TestMistakes(t *testing.T) {
	l := newSQL(t)
	l.query(`SET VARIABLE inventory_root = NULL`)
	l.refused(`FROM inventories()`, "SET VARIABLE inventory_root")
	l.refused(`FROM inventory_at('demo', 'team-a', 'apps', 1)`, "SET VARIABLE inventory_root")
	l.query(`SET VARIABLE inventory_root = 'LAKE'`)
	for _, from := range []string{`inventory_current`, `inventory_current()`, `inventory_current('demo')`} {
		l.refused(`FROM `+from, "SET VARIABLE inventory_files = inventory_files();")
	}
	l.refused(`SELECT attr_image FROM inventory_current`, "SET VARIABLE inventory_files = inventory_files();")
	l.refused(`FROM inventory_at(now())`, "SET VARIABLE inventory_history = inventory_history();")
	l.refused(`FROM inventory_diff(now(), now())`, "SET VARIABLE inventory_history = inventory_history();")
	l.refused(`SET VARIABLE inventory_files = inventory_files()`, "current/cluster=*/_inventories.json")

	a, _, _ := teams()
	l.export(a, 1)
	l.remember()
	l.refused(`FROM inventory_at('demo', 'team-a', 'apps', 2)`, "generation=2.parquet")
	l.refused(`FROM inventories('prod')`, "cluster=prod")
	// What was read from one place is not taken for what another has.
	l.query(`SET VARIABLE inventory_root = 'LAKE/elsewhere'`)
	l.refused(`FROM inventory_current`, "SET VARIABLE inventory_files")
	l.refused(`FROM inventory_at(now())`, "SET VARIABLE inventory_history")
}

func TestAt(t *testing.T) {
	l := newSQL(t)
	a, b, cluster := teams()
	l.export(a, 1)
	l.export(b, 2)
	a.Set("new", "nginx:1.28")
	l.export(a, 4)
	l.export(cluster, 5)
	a.Delete()
	l.export(a, 7)
	l.remember()
	l.wantRows(`inventory_at('demo', 'team-a', 'apps', 1)`, "demo|team-a|apps|1|2")
	l.wantRows(`inventory_at('demo', 'team-a', 'apps', 4)`, "demo|team-a|apps|4|3")
	l.wantRows(`inventory_at('demo', 'team-a', 'apps', 7)`)
	l.wantRows(`inventory_at('demo', NULL, 'platform', 5)`, "demo||platform|5|5")
	at := func(second string) string { return `TIMESTAMPTZ '2026-11-21 22:33:` + second + `Z'` }
	l.wantRows(`inventory_at(` + at("00.999") + `)`)
	l.wantRows(`inventory_at(`+at("01")+`)`, "demo|team-a|apps|1|2")
	l.wantRows(`inventory_at(`+at("03.9")+`)`, "demo|team-a|apps|1|2", "demo|team-b|apps|2|1")
	l.wantRows(`inventory_at(`+at("06")+`)`, "demo||platform|5|5", "demo|team-a|apps|4|3", "demo|team-b|apps|2|1")
	l.wantRows(`inventory_at(now())`, "demo||platform|5|5", "demo|team-b|apps|2|1")
	l.wantRows(`inventory_at('demo', 'team-a', 'apps', `+at("06")+`)`, "demo|team-a|apps|4|3")
	l.wantRows(`inventory_at('*', 'team-*', '*', `+at("06")+`)`, "demo|team-a|apps|4|3", "demo|team-b|apps|2|1")
	l.wantRows(`inventory_at('demo', NULL, '*', `+at("06")+`)`, "demo||platform|5|5")
	l.want(`SELECT generation, rows FROM inventory_generations('demo', 'team-a') ORDER BY ALL`, "1|2", "4|3", "7|0")

	// An export that has not ended is not there, nor one that retention removed.
	if err := os.WriteFile(l.root+"/inventory/cluster=demo/ns=team-b/name=apps/_manifests/3.json",
		[]byte(`{"cluster": "demo", "namespace": "team-b", "name": "apps", "generation": 3, "exportedAt": "2026-11-21T22:33:03Z", "format": "parquet", "data": "not/there"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"_manifests/1.json", "generation=1.parquet"} {
		if err := os.Remove(l.root + "/inventory/cluster=demo/ns=team-a/name=apps/" + gone); err != nil {
			t.Fatal(err)
		}
	}
	l.remember()
	l.wantRows(`inventory_at(`+at("03.9")+`)`, "demo|team-b|apps|2|1")
	l.query(`SET VARIABLE inventory_history = inventory_history('demo', NULL)`)
	l.wantRows(`inventory_at(now())`, "demo||platform|5|5")
}

func TestDiff(t *testing.T) {
	l := newSQL(t)
	a, b, _ := teams()
	a.SetAttributes("odd", `{"a b":1,"c.d":null,"e":{"f":[1]},"image":"x"}`)
	l.export(a, 1)
	a.Set("web", "nginx:1.28")
	a.SetAttributes("odd", `{"a b":2,"e":{"f":[2]},"image":"x"}`)
	a.Delete("api")
	a.Set("new", "nginx:1.28")
	l.export(a, 2)
	l.export(b, 2)
	b.Delete()
	l.export(b, 3)
	l.remember()
	const diff = `SELECT change, resource_name, changed, attributes_before->>'image', attributes_after->>'image' FROM inventory_diff`
	between := []string{
		"added|new|<nil>|<nil>|nginx:1.28",
		"changed|odd|[a b c.d e]|x|x",
		"changed|web|[image]|nginx:1.27|nginx:1.28",
		"removed|api|<nil>|nginx:1.27|<nil>",
	}
	l.want(diff+`('demo', 'team-a', 'apps', 1, 2) ORDER BY ALL`, between...)
	l.want(diff+`('demo', 'team-a', 'apps', 1, 1)`, []string{}...)
	l.want(diff+`('demo', 'team-a', 'apps', TIMESTAMPTZ '2026-11-21 22:33:01Z', now()) ORDER BY ALL`, between...)
	l.want(diff+`('demo', 'team-b', 'apps', 2, 3)`, "removed|db|<nil>|postgres:18|<nil>")
	l.want(diff+`('demo', 'team-b', 'apps', 3, 2)`, "added|db|<nil>|<nil>|postgres:18")
	l.want(diff+`(TIMESTAMPTZ '2026-11-21 22:33:02Z', TIMESTAMPTZ '2026-11-21 22:33:03Z')`, "removed|db|<nil>|postgres:18|<nil>")
	l.want(`SELECT change, count(*) FROM inventory_diff(TIMESTAMPTZ '2026-11-21 22:33:00Z', now()) GROUP BY ALL`, "added|3")
}
