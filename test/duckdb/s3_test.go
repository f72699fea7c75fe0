package duckdb_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestS3(t *testing.T) {
	b := newBucket(t)
	t.Run("documented SQL", func(t *testing.T) {
		b.fillDocumented()
		testDocumentedSQL(t, b)
	})
	b.proxy.taken()
	t.Run("documented Python", func(t *testing.T) { testDocumentedPython(t, b) })
	t.Run("links", func(t *testing.T) { testLinks(t, b) })
	t.Run("what is new is seen", func(t *testing.T) { testRefresh(t, b) })
	t.Run("reads what it must", func(t *testing.T) { testPruning(t, b) })
}

// The links that Athena and Trino follow are to the files that DuckDB reads.
func testLinks(t *testing.T, b *bucket) {
	b.refresh()
	files := b.query(`SELECT unnest(getvariable('inventory_files')) AS file ORDER BY file`)
	b.want(`SELECT file FROM read_csv('LAKE/current/cluster=*/files.txt', header = false, columns = {file: 'VARCHAR'}, hive_partitioning = false) ORDER BY file`, files...)
	if len(files) < 2 {
		t.Errorf("there are %d files", len(files))
	}
}

// DuckDB keeps what it has read: a list that has changed since is read again.
func testRefresh(t *testing.T, b *bucket) {
	s := sinktest.NewSampleOf("edge", inventory.Ref{Namespace: "team-a", Name: "apps"})
	for generation := range int64(5) {
		s.Set("web", string('a'+rune(generation)))
		b.export(s, generation+1)
		b.refresh()
		b.want(`SELECT generation, attr_image FROM inventory_current('edge')`, string('1'+rune(generation))+"|"+string('a'+rune(generation)))
	}
}

// A query reads data of the files alone that it is about, and of the row groups
// that may have what it looks for. Of a file there are its last bytes, and all.
func testPruning(t *testing.T, b *bucket) {
	const rows = 130_000 // two row groups
	big := sinktest.NewSampleOf("prod-1", inventory.Ref{Namespace: "team-b", Name: "apps"})
	big.Fill(rows)
	b.export(big, 1)
	small := sinktest.NewSampleOf("prod-2", inventory.Ref{Namespace: "team-b", Name: "apps"})
	small.SetAttributes("old", `{"image":"a"}`)
	b.export(small, 1)
	small.SetAttributes("new", `{"image":"b"}`)
	b.export(small, 2)
	b.refresh()
	b.query(`SET enable_external_file_cache = false`)
	const bigFile = "inventory/cluster=prod-1/ns=team-b/name=apps/generation=1.parquet"
	const smallFolder = "inventory/cluster=prod-2/ns=team-b/name=apps/"
	b.proxy.taken()
	read := func(query, want string) map[string]int64 {
		t.Helper()
		b.want(query, want)
		data, others := b.proxy.taken()
		if others != 0 {
			t.Errorf("%s\nreads %d lists", query, others)
		}
		return data
	}
	const attributes = `SELECT count(attributes) FROM `
	only := func(query, want string, files ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(read(query, want))); !slices.Equal(got, files) {
			t.Errorf("%s\nreads %v, want %v", query, got, files)
		}
	}
	only(attributes+`inventory_current('prod-2')`, "2", smallFolder+"generation=2.parquet")
	only(attributes+`inventory_at('prod-2', 'team-b', 'apps', 1)`, "1", smallFolder+"generation=1.parquet")
	only(`SELECT count(*) FROM inventory_diff('prod-2', 'team-b', 'apps', 1, 2)`, "1", smallFolder+"generation=1.parquet", smallFolder+"generation=2.parquet")

	const both = `inventory_current('prod-*', 'team-b')`
	end := read(`SELECT count(*) FROM `+both, fmt.Sprint(rows+2))[bigFile]
	whole := read(attributes+both, fmt.Sprint(rows+2))[bigFile]
	if end == 0 || end > whole/4 {
		t.Fatalf("the end of the file is %d bytes, all that is read %d", end, whole)
	}
	for condition, want := range map[string]string{
		`cluster = 'prod-2'`:       "2",
		`attr_image = 'a'`:         "1", // of another file, as its filter says
		`attr_replicas = 4`:        "0", // of none, as bounds say
		`resource_name = 'absent'`: "0",
	} {
		if got := read(attributes+both+` WHERE `+condition, want)[bigFile]; got != end {
			t.Errorf("WHERE %s reads %d bytes of a file without, the end of which has %d", condition, got, end)
		}
	}
	if got := read(attributes+both+` WHERE resource_name = 'app-0129999'`, "1")[bigFile]; got <= end || got > whole/2 {
		t.Errorf("the last row, in a small row group, takes %d bytes of %d", got, whole)
	}
}
