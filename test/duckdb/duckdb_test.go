package duckdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/sinktest"
	"kollect.io/kollect/test/duckdb"
)

// lake is a folder that inventories are exported to.
type lake struct {
	t     testing.TB
	root  string
	store *objectstore.Store
	db    *sql.DB
}

func newLake(t testing.TB, format kollectv1alpha1.Format) *lake {
	t.Helper()
	l := &lake{t: t, root: t.TempDir(), db: openDB(t)}
	l.store = l.open(kollectv1alpha1.ObjectStoreSink{URL: "file:///", Format: format}, nil)
	return l
}

func openDB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := duckdb.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (l *lake) open(spec kollectv1alpha1.ObjectStoreSink, secret map[string][]byte) *objectstore.Store {
	l.t.Helper()
	store, err := objectstore.Open(l.t.Context(), spec, secret, objectstore.Options{FileRoot: l.root})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { store.Close() })
	return store
}

func (l *lake) export(s *sinktest.Sample, generation int64) {
	l.t.Helper()
	l.exportAt(s, generation, time.Date(2026, 11, 21, 22, 33, 0, 0, time.UTC).Add(time.Duration(generation)*time.Second))
}

func (l *lake) exportAt(s *sinktest.Sample, generation int64, at time.Time) {
	l.t.Helper()
	if _, err := l.store.Write(l.t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: at}); err != nil {
		l.t.Fatal(err)
	}
}

// query returns each row as the texts of its columns with | between them. The
// path of the lake takes the place of LAKE.
func (l *lake) query(query string) []string {
	l.t.Helper()
	got, err := l.tryQuery(l.t.Context(), query)
	if err != nil {
		l.t.Fatalf("%s\n%v", query, err)
	}
	return got
}

func (l *lake) tryQuery(ctx context.Context, query string) ([]string, error) {
	rows, err := l.db.QueryContext(ctx, strings.ReplaceAll(query, "LAKE", l.root))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	got := []string{}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		texts := make([]string, len(columns))
		for i, v := range values {
			texts[i] = fmt.Sprint(*v.(*any))
		}
		got = append(got, strings.Join(texts, "|"))
	}
	return got, rows.Err()
}

func (l *lake) want(query string, want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.query(query)); diff != "" {
		l.t.Errorf("%s\n-want +got\n%s", query, diff)
	}
}

func teams() (a, b, cluster *sinktest.Sample) {
	a = sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	a.Set("web", "nginx:1.27")
	a.Set("api", "nginx:1.27")
	b = sinktest.NewSample(inventory.Ref{Namespace: "team-b", Name: "apps"})
	b.Set("db", "postgres:18")
	cluster = sinktest.NewSample(inventory.Ref{Name: "platform"})
	cluster.Fill(5)
	return a, b, cluster
}

func TestParquetOfAllGenerations(t *testing.T) {
	l := newLake(t, "parquet")
	a, b, cluster := teams()
	l.export(a, 1)
	a.Set("new", "nginx:1.28")
	l.export(a, 2)
	a.Delete()
	l.export(a, 3)
	l.export(b, 7)
	l.export(cluster, 9)
	l.want(`SELECT cluster, ns, name, generation, count(*) FROM read_parquet('LAKE/inventory/**/*.parquet', hive_partitioning = true)
		GROUP BY ALL ORDER BY ALL`,
		"demo|_cluster|platform|9|5",
		"demo|team-a|apps|1|2",
		"demo|team-a|apps|2|3",
		"demo|team-b|apps|7|1",
	)
	l.want(`SELECT inventory_namespace, inventory_name, generation, count(*) FROM read_parquet('LAKE/inventory/**/*.parquet', hive_partitioning = false)
		GROUP BY ALL ORDER BY ALL`,
		"|platform|9|5",
		"team-a|apps|1|2",
		"team-a|apps|2|3",
		"team-b|apps|7|1",
	)
	l.want(`SELECT count(*) FROM 'LAKE/inventory/cluster=demo/ns=team-a/name=apps/generation=3.parquet'`, "0")
	l.want(`SELECT resource_name FROM 'LAKE/inventory/cluster=demo/ns=team-a/name=apps/generation=2.parquet'`, "api", "new", "web")
}

func TestParquetTypes(t *testing.T) {
	l := newLake(t, "parquet")
	a, _, _ := teams()
	l.export(a, 1)
	l.want(`SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet('LAKE/inventory/**/*.parquet', hive_partitioning = false))`,
		"cluster|VARCHAR",
		"inventory_namespace|VARCHAR",
		"inventory_name|VARCHAR",
		"generation|BIGINT",
		"exported_at|TIMESTAMP WITH TIME ZONE",
		"row_key|VARCHAR",
		"target_namespace|VARCHAR",
		"target_name|VARCHAR",
		"api_group|VARCHAR",
		"api_version|VARCHAR",
		"resource|VARCHAR",
		"kind|VARCHAR",
		"resource_namespace|VARCHAR",
		"resource_name|VARCHAR",
		"uid|VARCHAR",
		"created_at|TIMESTAMP WITH TIME ZONE",
		"labels|JSON",
		"attributes|JSON",
		"attr_image|VARCHAR",
		"attr_paused|BOOLEAN",
		"attr_ratio|DOUBLE",
		"attr_replicas|BIGINT",
	)
}

func TestParquetValues(t *testing.T) {
	l := newLake(t, "parquet")
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	s.SetAttributes("bare", `{}`)
	s.SetAttributes("odd", `{"image":"a\"b\\\u2028é😀","nested":{"deep":[{"x":1}]},"ratio":1e300,"replicas":-9223372036854775808}`)
	l.export(s, 1)
	from := ` FROM read_parquet('LAKE/inventory/**/*.parquet', hive_partitioning = true) ORDER BY resource_name`
	l.want(`SELECT resource_name, attr_image, attr_paused, attr_ratio, attr_replicas`+from,
		"bare|<nil>|<nil>|<nil>|<nil>",
		"odd|a\"b\\\u2028é😀|<nil>|1e+300|-9223372036854775808",
		"web|nginx:1.27|false|0.5|3",
	)
	l.want(`SELECT attributes->>'image', attributes->>'$.ports[1]', attributes->>'$.nested.deep[0].x', labels->>'app'`+from,
		"<nil>|<nil>|<nil>|bare",
		"a\"b\\\u2028é😀|<nil>|1|odd",
		"nginx:1.27|443|<nil>|web",
	)
	l.want(`SELECT strftime(exported_at, '%Y-%m-%dT%H:%M:%S'), strftime(created_at, '%Y-%m-%dT%H:%M:%S'), kind, api_group, api_version, resource`+from+` LIMIT 1`,
		"2026-11-21T22:33:01|2026-11-02T10:04:00|Deployment|apps|v1|deployments",
	)
}

// A reader that starts at the pointers reads the current generation of each
// inventory and no other.
func TestLatest(t *testing.T) {
	l := newLake(t, "parquet")
	a, b, cluster := teams()
	l.export(a, 1)
	l.export(b, 2)
	l.export(cluster, 3)
	a.Delete("web")
	l.export(a, 12)
	l.want(`SELECT cluster, namespace, name, generation, rows, format, data FROM read_json('LAKE/inventory/*/*/*/_latest.json') ORDER BY ALL`,
		"demo|team-a|apps|12|1|parquet|inventory/cluster=demo/ns=team-a/name=apps/generation=12.parquet",
		"demo|team-b|apps|2|1|parquet|inventory/cluster=demo/ns=team-b/name=apps/generation=2.parquet",
		"demo|<nil>|platform|3|5|parquet|inventory/cluster=demo/ns=_cluster/name=platform/generation=3.parquet",
	)
	gone := sinktest.NewSampleOf("gone", inventory.Ref{Name: "platform"})
	l.export(gone, 1)
	if err := l.store.Forget(t.Context(), gone.Snapshot().Inventory(), 2, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	l.want(`SELECT cluster FROM read_json('LAKE/inventory/*/*/*/_latest.json', union_by_name = true) WHERE data IS NULL`, "gone")
	l.query(`SET VARIABLE current = (SELECT list('LAKE/' || data) FROM read_json('LAKE/inventory/*/*/*/_latest.json', union_by_name = true) WHERE data IS NOT NULL)`)
	l.want(`SELECT cluster, namespace, name FROM read_json('LAKE/inventory/*/*/*/_latest.json', union_by_name = true)
		WHERE data IS NOT NULL AND epoch(confirmedAt) < epoch(TIMESTAMP '2026-11-21 22:33:12') ORDER BY ALL`,
		"demo|team-b|apps", "demo|<nil>|platform")
	l.want(`SELECT ns, generation, count(*) FROM read_parquet(getvariable('current'), hive_partitioning = true) GROUP BY ALL ORDER BY ALL`,
		"_cluster|3|5", "team-a|12|1", "team-b|2|1")
	l.want(`SELECT generation, rows FROM read_json('LAKE/inventory/*/ns=team-a/*/_manifests/*.json') ORDER BY ALL`, "1|2", "12|1")
}

func TestJSON(t *testing.T) {
	a, _, _ := teams()
	l := newLake(t, "ndjson")
	l.export(a, 1)
	l.want(`SELECT cluster, inventory, source.name, attributes.image, labels.app FROM read_json('LAKE/inventory/**/*.ndjson') ORDER BY ALL`,
		"demo|apps|api|nginx:1.27|api", "demo|apps|web|nginx:1.27|web")
	l = newLake(t, "json")
	l.export(a, 1)
	l.want(`SELECT metadata.generation, r.source.name, r.attributes.image
		FROM (SELECT metadata, unnest(rows) AS r FROM read_json('LAKE/inventory/**/generation=*.json')) ORDER BY ALL`,
		"1|api|nginx:1.27", "1|web|nginx:1.27")
}

// One look-up reads the row groups that may have the value and no others.
func TestPruning(t *testing.T) {
	const rows = 70_000
	l := newLake(t, "parquet")
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(rows)
	l.export(s, 1)
	const file = `'LAKE/inventory/cluster=demo/ns=team-a/name=apps/generation=1.parquet'`
	l.want(`SELECT num_rows, num_row_groups FROM parquet_file_metadata(`+file+`)`, fmt.Sprint(rows, "|2"))
	l.want(`SELECT count(*), count(DISTINCT row_key), min(resource_name), max(resource_name) FROM `+file,
		fmt.Sprintf("%d|%d|app-0000000|app-%07d", rows, rows, rows-1))
	l.want(`SELECT count(*) FROM `+file+` WHERE attr_image LIKE '%app-7:%'`, fmt.Sprint(rows/200))
	uid := l.query(`SELECT uid FROM ` + file + ` WHERE resource_name = 'app-0069999'`)[0]
	l.want(`SELECT row_group_id, bloom_filter_excludes FROM parquet_bloom_probe(`+file+`, 'uid', '`+uid+`') ORDER BY ALL`, "0|true", "1|false")
	l.want(`SELECT bloom_filter_excludes FROM parquet_bloom_probe(`+file+`, 'attr_image', 'no such image') ORDER BY ALL`, "true", "true")
	l.want(`SELECT resource_name FROM `+file+` WHERE uid = '`+uid+`'`, "app-0069999")
	const names = `(SELECT * FROM parquet_metadata(` + file + `) WHERE path_in_schema = 'resource_name')`
	l.want(`SELECT count(*) FROM `+names+` a JOIN `+names+` b ON a.row_group_id < b.row_group_id AND a.stats_max_value < b.stats_min_value`, "1")
	l.want(`SELECT DISTINCT compression FROM parquet_metadata(`+file+`)`, "ZSTD")
	l.want(`SELECT decode(value) FROM parquet_kv_metadata(`+file+`) WHERE decode(key) = 'kollect.contentHash'`, s.Snapshot().Hash().String())
}

// DuckDB reads without pause while exports go on. That goes on under crashes in
// test/crash.
func TestReadersSeeWholeSnapshots(t *testing.T) {
	l := newLake(t, "parquet")
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(100)
	l.export(s, 1)
	const last = 40
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		reads, err := duckdb.Follow(ctx, l.db, l.root, 0, func(generation int64) {
			if generation == last {
				cancel()
			}
		})
		if err != nil || reads == 0 {
			t.Errorf("after %d reads: %v", reads, err)
		}
	}()
	for generation := int64(2); generation <= last; generation++ {
		s.Set(fmt.Sprint("web-", generation), "nginx")
		l.export(s, generation)
	}
	<-done
}

// What no reader may see is told from what it may.
func TestFollowTells(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(30)
	for name, spoil := range map[string]func(t *testing.T, l *lake, folder string){
		"torn": func(t *testing.T, l *lake, folder string) {
			must(t, os.Truncate(folder+"generation=2.parquet", 1000))
		},
		"another": func(t *testing.T, l *lake, folder string) {
			must(t, os.Rename(folder+"generation=1.parquet", folder+"generation=2.parquet"))
		},
		"older": func(t *testing.T, l *lake, folder string) {
			pointer, err := os.ReadFile(folder + "_latest.json")
			must(t, err)
			older := strings.NewReplacer(`"generation": 2`, `"generation": 1`, "generation=2", "generation=1").Replace(string(pointer))
			must(t, os.WriteFile(folder+"_latest.json", []byte(older), 0o600))
		},
		"gone": func(t *testing.T, l *lake, folder string) { must(t, os.Remove(folder+"generation=2.parquet")) },
		"empty": func(t *testing.T, l *lake, _ string) {
			l.export(sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}), 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLake(t, "parquet")
			l.export(s, 1)
			l.export(s, 2)
			spoil := sync.OnceFunc(func() { spoil(t, l, l.root+"/inventory/cluster=demo/ns=team-a/name=apps/") })
			if reads, err := duckdb.Follow(t.Context(), l.db, l.root, 0, func(int64) { spoil() }); err == nil || reads != 1 {
				t.Errorf("after %d reads: %v", reads, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPrint(t *testing.T) {
	db, err := duckdb.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out bytes.Buffer
	if err := duckdb.Print(&out, db, `SELECT 1 AS n, 'a' AS s UNION ALL SELECT 2, NULL ORDER BY n`); err != nil {
		t.Fatal(err)
	}
	if want := "{\"n\":1,\"s\":\"a\"}\n{\"n\":2,\"s\":null}\n"; out.String() != want {
		t.Errorf("got %s", out.String())
	}
	if err := duckdb.Print(&out, db, `SELECT nonsense`); err == nil {
		t.Error("a wrong query is no error")
	}
}
