package format_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func open(t *testing.T, data []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// readAll returns the rows as texts by column name; a null is absent.
func readAll(t *testing.T, f *parquet.File) []map[string]string { return readEach(t, f, 1) }

// readEach returns each n-th row.
func readEach(t *testing.T, f *parquet.File, each int) []map[string]string {
	t.Helper()
	var names []string
	for _, path := range f.Schema().Columns() {
		names = append(names, path[0])
	}
	var all []map[string]string
	seen := 0
	buf := make([]parquet.Row, 100)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				if seen++; (seen-1)%each != 0 {
					continue
				}
				m := map[string]string{}
				for _, v := range row {
					if !v.IsNull() {
						m[names[v.Column()]] = v.String()
					}
				}
				all = append(all, m)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestParquetSchema(t *testing.T) {
	f := open(t, encode(t, format.Parquet, small("web"), options))
	want := `message inventory {
	required binary cluster (STRING);
	required binary inventory_namespace (STRING);
	required binary inventory_name (STRING);
	required int64 generation (INT(64,true));
	optional int64 exported_at (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
	required binary row_key (STRING);
	required binary target_namespace (STRING);
	required binary target_name (STRING);
	required binary api_group (STRING);
	required binary api_version (STRING);
	required binary resource (STRING);
	required binary kind (STRING);
	required binary resource_namespace (STRING);
	required binary resource_name (STRING);
	required binary uid (STRING);
	optional int64 created_at (TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS));
	required binary labels (JSON);
	required binary attributes (JSON);
	optional binary attr_image (STRING);
	optional boolean attr_paused;
	optional double attr_ratio;
	optional int64 attr_replicas (INT(64,true));
}`
	if diff := cmp.Diff(want, f.Schema().String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for key, want := range map[string]string{
		"kollect.cluster":     "demo",
		"kollect.inventory":   "team-a/apps",
		"kollect.generation":  "42",
		"kollect.rows":        "1",
		"kollect.contentHash": small("web").Hash().String(),
		"kollect.schema":      format.Parquet.Schema(small("web").Inventory()),
	} {
		if got, _ := f.Lookup(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestParquetHasWhatTheRowHas(t *testing.T) {
	snapshot := small("web")
	var key string
	for e := range snapshot.All() {
		key = e.Key.String()
	}
	got := readAll(t, open(t, encode(t, format.Parquet, snapshot, options)))
	want := []map[string]string{{
		"cluster": "demo", "inventory_namespace": "team-a", "inventory_name": "apps",
		"generation": "42", "exported_at": "1795300384567", "row_key": key,
		"target_namespace": "team-a", "target_name": "web",
		"api_group": "apps", "api_version": "v1", "resource": "deployments", "kind": "Deployment",
		"resource_namespace": "team-a", "resource_name": "web", "uid": got[0]["uid"], "created_at": "1793613780000",
		"labels":     `{"app":"web","tier":"web"}`,
		"attributes": `{"image":"nginx:1.27 <web>","paused":false,"ports":[80,443],"ratio":0.5,"replicas":3}`,
		"attr_image": "nginx:1.27 <web>", "attr_paused": "false", "attr_ratio": "0.5", "attr_replicas": "3",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestPromotedValueOfAnotherType(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for name, attributes := range map[string]string{
		"a-absent":  `{}`,
		"b-null":    `{"image":null,"paused":null,"ratio":null,"replicas":null}`,
		"c-misfits": `{"image":7,"paused":"true","ratio":"0.5","replicas":2.5}`,
		"d-json":    `{"image":{"a":[1,"}"]},"paused":1,"ratio":3,"replicas":"3"}`,
		"e-escapes": `{"image":"a\"b\\\u003c\n","ratio":-1e3,"replicas":-9223372036854775808}`,
		"f-large":   `{"image":"","ratio":1e999,"replicas":9223372036854775808}`,
	} {
		s.SetAttributes(name, attributes)
	}
	want := []map[string]string{
		{},
		{},
		{"attr_image": "7"},
		{"attr_image": `{"a":[1,"}"]}`, "attr_ratio": "3"},
		{"attr_image": "a\"b\\<\n", "attr_ratio": "-1000", "attr_replicas": "-9223372036854775808"},
		{"attr_image": ""},
	}
	var got []map[string]string
	for _, row := range readAll(t, open(t, encode(t, format.Parquet, s.Snapshot(), options))) {
		promoted := map[string]string{}
		for name, value := range row {
			if strings.HasPrefix(name, format.AttributePrefix) {
				promoted[name] = value
			}
		}
		got = append(got, promoted)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestParquetOfNoRowsHasTheSchema(t *testing.T) {
	f := open(t, encode(t, format.Parquet, small(), options))
	if f.NumRows() != 0 || len(f.Schema().Columns()) != 22 {
		t.Errorf("%d rows, %d columns", f.NumRows(), len(f.Schema().Columns()))
	}
}

func TestParquetOfManyRows(t *testing.T) {
	const n, each = 60_513, 101
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(n)
	snapshot := s.Snapshot()
	f := open(t, encode(t, format.Parquet, snapshot, options))
	if f.NumRows() != n || len(f.RowGroups()) != 2 {
		t.Fatalf("%d rows in %d groups", f.NumRows(), len(f.RowGroups()))
	}
	first := int(f.RowGroups()[0].NumRows())
	if first < n/3 || first > n*2/3 {
		t.Errorf("%d of %d rows are in the first of two groups", first, n)
	}
	last := ""
	uid, _ := f.Schema().Lookup("uid")
	for i, row := range readEach(t, f, each) {
		if row["resource_name"] <= last {
			t.Fatalf("row %d: %s after %s", i, row["resource_name"], last)
		}
		last = row["resource_name"]
		if key, ok := inventory.ParseKey(row["row_key"]); !ok {
			t.Fatalf("row key %s", row["row_key"])
		} else if e, ok := snapshot.Get(key); !ok || e.Row.UID() != row["uid"] || e.Row.Attributes() != row["attributes"] {
			t.Fatalf("row %s is not that of the snapshot", row["row_key"])
		}
		if i%100 == 0 {
			filter := f.RowGroups()[min(i*each/first, 1)].ColumnChunks()[uid.ColumnIndex].BloomFilter()
			if found, err := filter.Check(parquet.ValueOf(row["uid"])); err != nil || !found {
				t.Fatalf("bloom filter does not have uid %s: %v", row["uid"], err)
			}
		}
	}
	for _, c := range f.RowGroups()[0].ColumnChunks() {
		if _, err := c.OffsetIndex(); err != nil {
			t.Errorf("column %d: %v", c.Column(), err)
		}
	}
}
