package duckdb_test

import (
	"fmt"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// promoted returns the columns of an attribute "x" with a type, and of "image".
func promoted(t inventory.ColumnType) []inventory.Column {
	return []inventory.Column{{Name: "image", Type: inventory.ColumnString}, {Name: "x", Type: t}}
}

// An attribute that is promoted, or not any more, is null where it was not; the
// column attributes has it all the time.
func TestPromotedLaterAndDropped(t *testing.T) {
	l := newSQL(t)
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.SetAttributes("web", `{"image":"nginx","x":7}`)
	other := sinktest.NewSample(inventory.Ref{Namespace: "team-b", Name: "apps"})
	other.SetAttributes("db", `{"image":"postgres","x":8}`)
	s.Promote()
	l.export(s, 1)
	s.Promote(promoted(inventory.ColumnInteger)...)
	l.export(s, 2)
	s.Promote(promoted(inventory.ColumnInteger)[:1]...)
	l.export(s, 3)
	l.export(other, 3) // promotes image, and not x
	l.refresh()
	l.want(`SELECT attr_image, attributes->>'x' FROM inventory_current ORDER BY ALL`, "nginx|7", "postgres|8")
	all := `(FROM inventory_at('demo', 'team-a', 'apps', 1) UNION ALL BY NAME
		FROM inventory_at('demo', 'team-a', 'apps', 2) UNION ALL BY NAME FROM inventory_at('demo', 'team-a', 'apps', 3))`
	l.want(`SELECT generation, attr_image, attr_x, attributes->>'x' FROM `+all+` ORDER BY ALL`,
		"1|<nil>|<nil>|7", "2|nginx|7|7", "3|nginx|<nil>|7")
	l.want(`SELECT count(*) FROM inventory_diff('demo', 'team-a', 'apps', 1, 2)`, "0")

	s.Promote(promoted(inventory.ColumnInteger)...)
	l.export(s, 4)
	l.refresh()
	l.want(`SELECT attr_image, attr_x, typeof(attr_x) FROM inventory_current ORDER BY ALL`, "nginx|7|BIGINT", "postgres|<nil>|BIGINT")
	l.want(`SELECT resource_name FROM inventory_current WHERE attr_x = 7`, "web")
}

// Where files have an attribute with different types, its column has one that
// takes them all, whichever file comes first.
func TestRetyped(t *testing.T) {
	values := map[inventory.ColumnType]struct{ json, duck string }{
		inventory.ColumnString:  {`"seven"`, "VARCHAR"},
		inventory.ColumnInteger: {`7`, "BIGINT"},
		inventory.ColumnNumber:  {`7.5`, "DOUBLE"},
		inventory.ColumnBoolean: {`true`, "BOOLEAN"},
	}
	for _, test := range []struct {
		was, is    inventory.ColumnType
		type_, row string
	}{
		{inventory.ColumnInteger, inventory.ColumnNumber, "DOUBLE", "7|7.5"},
		{inventory.ColumnInteger, inventory.ColumnString, "VARCHAR", "7|seven"},
		{inventory.ColumnNumber, inventory.ColumnString, "VARCHAR", "7.5|seven"},
		{inventory.ColumnBoolean, inventory.ColumnString, "VARCHAR", "true|seven"},
		{inventory.ColumnBoolean, inventory.ColumnInteger, "BIGINT", "1|7"},
		{inventory.ColumnBoolean, inventory.ColumnNumber, "DOUBLE", "1|7.5"},
	} {
		t.Run(fmt.Sprintf("%s and %s", test.was, test.is), func(t *testing.T) {
			l := newSQL(t)
			first, second := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}), sinktest.NewSample(inventory.Ref{Namespace: "team-b", Name: "apps"})
			for _, order := range [][2]*sinktest.Sample{{first, second}, {second, first}} {
				for i, declared := range []inventory.ColumnType{test.was, test.is} {
					order[i].SetAttributes("app", fmt.Sprintf(`{"image":"i","x":%s}`, values[declared].json))
					order[i].Promote(promoted(declared)...)
				}
				generation := int64(1)
				if order[0] == second {
					generation = 2
				}
				l.export(first, generation)
				l.export(second, generation)
				l.refresh()
				got := l.query(fmt.Sprintf(`SELECT DISTINCT typeof(attr_x), (SELECT attr_x FROM inventory_current WHERE inventory_namespace = '%s'),
					(SELECT attr_x FROM inventory_current WHERE inventory_namespace = '%s') FROM inventory_current`,
					order[0].Snapshot().Inventory().Namespace, order[1].Snapshot().Inventory().Namespace))
				if want := test.type_ + "|" + test.row; strings.Join(got, "\n") != want {
					t.Errorf("got %s, want %s", got, want)
				}
				was, _, _ := strings.Cut(test.row, "|")
				l.want(`SELECT inventory_namespace FROM inventory_current WHERE attr_x = '`+was+`'`, order[0].Snapshot().Inventory().Namespace)
			}
			// One generation beside another of the same inventory.
			l.want(`SELECT typeof(attr_x), count(*) FROM inventory_at('demo', 'team-a', 'apps', 1) GROUP BY ALL`, values[test.was].duck+"|1")
			l.want(`SELECT typeof(attr_x), count(*) FROM inventory_at('demo', 'team-a', 'apps', 2) GROUP BY ALL`, values[test.is].duck+"|1")
			l.want(`SELECT change, changed FROM inventory_diff('demo', 'team-a', 'apps', 1, 2)`, "changed|[x]")
		})
	}
}
