package duckdb_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// Athena and Trino are services: what can be checked without them is that their
// tables have the columns and types of the files, and lie where the files do.

// hiveTypes and trinoTypes are the types of columns, by the physical and the
// logical type that Parquet has.
var (
	hiveTypes = map[string]string{
		"BYTE_ARRAY|UTF8": "string", "BYTE_ARRAY|JSON": "string", "INT64|<nil>": "bigint", "INT64|INT_64": "bigint",
		"INT64|TIMESTAMP_MILLIS": "timestamp", "DOUBLE|<nil>": "double", "BOOLEAN|<nil>": "boolean",
	}
	trinoTypes = map[string]string{
		"BYTE_ARRAY|UTF8": "varchar", "BYTE_ARRAY|JSON": "varchar", "INT64|<nil>": "bigint", "INT64|INT_64": "bigint",
		"INT64|TIMESTAMP_MILLIS": "timestamp(3)", "DOUBLE|<nil>": "double", "BOOLEAN|<nil>": "boolean",
	}
)

var (
	tablePattern  = regexp.MustCompile(`(?ms)^CREATE (?:EXTERNAL )?TABLE (\S+) \(\n(.*?)^\)\n(.*?);$`)
	columnPattern = regexp.MustCompile(`^  (\w+) (\S+?),?$`)
)

func TestTables(t *testing.T) {
	l := newLake(t, "parquet")
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx")
	l.export(s, 1)
	const file = "inventory/cluster=demo/ns=team-a/name=apps/generation=1.parquet"
	schema := l.query(`SELECT name, type, converted_type FROM parquet_schema('LAKE/` + file + `') WHERE type IS NOT NULL`)
	for name, test := range map[string]struct {
		types      map[string]string
		tables     []string
		partitions []string // those of the last table
	}{
		"athena.sql": {hiveTypes, []string{"inventory_current", "inventory_history"}, []string{"cluster", "ns", "name"}},
		"trino.sql":  {trinoTypes, []string{"hive.kollect.inventory_history"}, []string{"cluster", "ns", "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("../../artifacts/sql/" + name)
			if err != nil {
				t.Fatal(err)
			}
			tables := tablePattern.FindAllStringSubmatch(string(text), -1)
			var names []string
			for _, table := range tables {
				names = append(names, table[1])
				checkColumns(t, table[1], strings.Split(strings.TrimSpace(table[2]), "\n"), schema, test.types)
			}
			if !slices.Equal(names, test.tables) {
				t.Fatalf("makes %v, want %v", names, test.tables)
			}
			// The path of an object, from what the statement says of where it is.
			template := regexp.MustCompile(`location[._]template'? = 's3://lake/prod/(.*)'`).FindStringSubmatch(string(text))
			if template == nil {
				t.Fatal("there is no template of locations")
			}
			if got := strings.NewReplacer("${cluster}", "demo", "${ns}", "team-a", "${name}", "apps").Replace(template[1]) + "generation=1.parquet"; got != file {
				t.Errorf("looks for %s, want %s", got, file)
			}
			for _, key := range test.partitions {
				if !regexp.MustCompile(`(?i)partitioned.by.*\b` + key + `\b`).MatchString(string(text)) {
					t.Errorf("%s is no partition", key)
				}
			}
		})
	}
}

// checkColumns compares a table's columns with those of a file. The cluster is a
// partition, and of promoted attributes the table has some.
func checkColumns(t *testing.T, table string, lines, schema []string, types map[string]string) {
	t.Helper()
	declared := map[string]string{}
	var got, want []string
	for _, line := range lines {
		if strings.Contains(line, " WITH (") {
			continue // a partition
		}
		column := columnPattern.FindStringSubmatch("  " + strings.TrimSpace(line))
		if column == nil {
			t.Fatalf("%s: %q is no column", table, line)
		}
		got = append(got, column[1]+" "+column[2])
		declared[column[1]] = column[2]
	}
	for _, column := range schema {
		name, parquet, _ := strings.Cut(column, "|")
		if name == "cluster" || strings.HasPrefix(name, "attr_") && declared[name] == "" {
			continue
		}
		want = append(want, name+" "+types[parquet])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("columns of %s (-want +got):\n%s\nof %v", table, diff, schema)
	}
}
