package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// values returns an attribute's column as readers of the view see it, by name of the
// row, with - for null.
func values(t *testing.T, d *destination, attribute string) string {
	t.Helper()
	return ask[string](t, d.spec.Schema, `select coalesce(string_agg(concat(resource_name, '=', coalesce(`+
		pgx.Identifier{promotedName(attribute)}.Sanitize()+`::text, '-')), ' ' order by cluster, resource_name), '') from %s.inventory_current`)
}

func TestPromotedColumns(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.SetAttributes("a", `{"image":"nginx\t\u0000\\N","paused":true,"ratio":1e-400,"replicas":9223372036854775807}`)
	c.sample.SetAttributes("b", `{"image":"\\N","paused":false,"ratio":-0.1e3,"replicas":1.5}`)
	c.sample.SetAttributes("c", `{"image":{"a":["\u0000"]},"paused":"yes","ratio":1e999,"replicas":9223372036854775808}`)
	c.sample.SetAttributes("d", `{"image":null,"paused":null,"ratio":"1","replicas":"1"}`)
	c.sample.SetAttributes("e", `{"image":""}`)
	c.mustExport(t)
	for attribute, want := range map[string]string{
		"image":    "a=nginx\t\ufffd\\N b=\\N c={\"a\":[\"\\u0000\"]} d=- e=",
		"paused":   "a=true b=false c=- d=- e=-",
		"ratio":    "a=0 b=-100 c=- d=- e=-",
		"replicas": "a=9223372036854775807 b=- c=- d=- e=-",
	} {
		if got := values(t, d, attribute); got != want {
			t.Errorf("%s: %q, want %q", attribute, got, want)
		}
	}
	types := `select string_agg(concat_ws(' ', column_name, data_type), ', ' order by column_name) from information_schema.columns
		where concat('"', table_schema, '"') = '%s' and table_name = 'Rows' and column_name like 'attr\_%'`
	want := "attr_image text, attr_paused boolean, attr_ratio double precision, attr_replicas bigint"
	if got := ask[string](t, d.spec.Schema, types); got != want {
		t.Errorf("columns are %s, want %s", got, want)
	}
}

// What an inventory does not promote any more is null in its rows, and in no others'.
func TestPromotionsThatChange(t *testing.T) {
	for _, deletion := range []string{"hard", "soft"} {
		d := newDestination(server.DSN("postgres"), deletion)
		store := d.open(t)
		defer store.Close()
		c, other := newChurn(store, sinktest.NewSample(ref)), newChurn(store, sinktest.NewSampleOf("other", ref))
		for _, each := range []*churn{c, other} {
			each.sample.SetAttributes("a", `{"image":"nginx:1","replicas":1}`)
			each.sample.SetAttributes("b", `{"image":"nginx:2","replicas":2}`)
		}
		other.sample.Promote()
		other.mustExport(t)
		c.mustExport(t)
		want := func(attribute, want string) {
			t.Helper()
			if got := values(t, d, attribute); got != want {
				t.Errorf("%s: %s, want %s", attribute, got, want)
			}
		}
		want("image", "a=nginx:1 b=nginx:2 a=- b=-")
		c.sample.Delete("b")
		c.mustExport(t)
		c.sample.Promote(inventory.Column{Name: "replicas", Type: inventory.ColumnInteger})
		c.mustExport(t)
		want("image", "a=- a=- b=-")
		want("replicas", "a=1 a=- b=-")
		c.sample.SetAttributes("b", `{"image":"nginx:2","replicas":2}`) // is there, if deleted softly, as it was
		c.mustExport(t)
		want("image", "a=- b=- a=- b=-")
		other.sample.Promote(inventory.Column{Name: "image", Type: inventory.ColumnString}, inventory.Column{Name: "new", Type: inventory.ColumnNumber})
		other.mustExport(t)
		want("image", "a=- b=- a=nginx:1 b=nginx:2")
		want("new", "a=- b=- a=- b=-")
	}
}

// Inventories that disagree on a type share a column of text, once there is one, and
// until then one of them says what is to be done.
func TestPromotedTypesThatClash(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	c, other := newChurn(store, sinktest.NewSample(ref)), newChurn(store, sinktest.NewSampleOf("other", ref))
	c.sample.SetAttributes("a", `{"replicas":7}`)
	other.sample.SetAttributes("a", `{"replicas":"many"}`)
	other.sample.Promote(inventory.Column{Name: "replicas", Type: inventory.ColumnString})
	c.mustExport(t)
	err := other.resume(t)
	mustContain(t, err, "attribute replicas has the type string, and column attr_replicas", "the type bigint", "in all profiles")
	if !sink.IsPermanent(err) {
		t.Error("the error is not permanent")
	}
	c.sample.SetAttributes("b", `{"replicas":8}`)
	c.mustExport(t)

	_, mend, _ := strings.Cut(err.Error(), "every type: ")
	sql(t, d.spec.Schema, strings.Split(mend, "; ")...)
	other.mustExport(t)
	c.sample.SetAttributes("b", `{"replicas":9}`)
	c.mustExport(t)
	if got, want := values(t, d, "replicas"), "a=7 b=9 a=many"; got != want {
		t.Errorf("replicas: %s, want %s", got, want)
	}
}

// Who drops what is used gets it again, with all values.
func TestDroppedColumns(t *testing.T) {
	for name, drop := range map[string]string{
		"a column": `alter table %s."Rows" drop column attr_image cascade`,
		"the rows": `drop table %s."Rows" cascade`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDestination(server.DSN("postgres"), "hard")
			store := d.open(t)
			defer store.Close()
			var all []*churn
			for _, cluster := range []string{"demo", "other", "third"} {
				c := newChurn(store, sinktest.NewSampleOf(cluster, ref))
				c.sample.SetAttributes("a", `{"image":"nginx:1"}`)
				c.sample.SetAttributes("b", `{"image":"nginx:2"}`)
				c.mustExport(t)
				all = append(all, c)
			}
			sql(t, d.spec.Schema, drop)
			if all[0].export(t) == nil {
				t.Error("no error")
			}
			all[0].mustExport(t)
			// This one remembers what it has written, and is told that it is gone.
			if err := all[1].export(t); !errors.Is(err, sink.ErrFenced) {
				t.Errorf("error is %v", err)
			}
			all[1].mustExport(t)
			all[2].mustExport(t)
			if got, want := values(t, d, "image"), "a=nginx:1 b=nginx:2 a=nginx:1 b=nginx:2 a=nginx:1 b=nginx:2"; got != want {
				t.Errorf("image: %s, want %s", got, want)
			}
		})
	}
}

// Of a table that is somebody else's, columns are named, and not added.
func TestPromotedColumnsOfAnothersTable(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	d.open(t).Close()
	_, dsn := role(t, d.spec.Schema)
	store, err := open(t, d.spec, map[string]string{"dsn": dsn})
	if err != nil {
		t.Fatal(err)
	}
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.SetAttributes("a", `{"image":"nginx:1","replicas":1}`)
	c.sample.Promote(inventory.Column{Name: "image", Type: inventory.ColumnString})
	err = c.resume(t)
	mustContain(t, err, "no column attr_image for a promoted attribute", "type text", "own the table")
	if !sink.IsPermanent(err) {
		t.Error("the error is not permanent")
	}
	sql(t, d.spec.Schema, `alter table %s."Rows" add column attr_image text`)
	c.mustExport(t)
	if got := ask[string](t, d.spec.Schema, `select attr_image from %s."Rows"`); got != "nginx:1" {
		t.Errorf("image is %s", got)
	}
}

func TestPromotedNames(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	long := strings.Repeat("a", 62)
	attributes := []string{"Image", "image", "select", long + "x", long + "y", strings.Repeat("b", 58)}
	slices.Sort(attributes)
	var columns []inventory.Column
	var members []string
	for _, name := range attributes {
		columns = append(columns, inventory.Column{Name: name, Type: inventory.ColumnString})
		members = append(members, fmt.Sprintf("%q:%q", name, "of "+name))
		if column := promotedName(name); len(column) > 63 {
			t.Errorf("column %s is too long", column)
		}
	}
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.Promote(columns...)
	c.sample.SetAttributes("a", "{"+strings.Join(members, ",")+"}")
	c.mustExport(t)
	for _, name := range attributes {
		if got, want := values(t, d, name), "a=of "+name; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if promotedName("Image") != "attr_Image" || promotedName(attributes[len(attributes)-3]) != "attr_"+strings.Repeat("b", 58) {
		t.Error("names that fit are not as they are")
	}
}

// A view that others have made, or taken for theirs, is theirs.
func TestViewsAreKept(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.SetAttributes("a", `{"image":"nginx:1","replicas":1}`)
	c.sample.Promote(inventory.Column{Name: "image", Type: inventory.ColumnString})
	c.mustExport(t)
	sql(t, d.spec.Schema, `create view %s.mine as select * from %s.inventory_current`, `drop view %s.inventory_stale`,
		`create view %s.inventory_stale as select 'mine' as whose`)
	c.sample.Promote(inventory.Column{Name: "image", Type: inventory.ColumnString}, inventory.Column{Name: "paused", Type: inventory.ColumnBoolean})
	c.mustExport(t)
	columns := `select count(*) from pg_attribute where attrelid = '%s.inventory_current'::regclass and attname like 'attr\_%'`
	if n := ask[int](t, d.spec.Schema, columns); n != 2 {
		t.Errorf("the view shows %d attributes, want 2", n)
	}
	if whose := ask[string](t, d.spec.Schema, `select whose from %s.inventory_stale`); whose != "mine" {
		t.Errorf("the other view is %s", whose)
	}
	sql(t, d.spec.Schema, `comment on view %s.inventory_current is null`)
	c.sample.Promote(sinktest.SampleColumns...)
	c.mustExport(t)
	if n := ask[int](t, d.spec.Schema, columns); n != 2 {
		t.Errorf("the view shows %d attributes, want 2", n)
	}
}
