package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/pkg/sink"
)

// ensure makes the tables if they are not there, and checks that they fit if
// they are.
func (s *Store) ensure(ctx context.Context) error {
	err := s.inTransaction(ctx, func(t tx) error {
		rows, state, err := s.tables.find(ctx, t)
		if err != nil {
			return err
		}
		if rows == nil || state == nil {
			if err := s.create(ctx, t); err != nil {
				return err
			}
			if rows, state, err = s.tables.find(ctx, t); err != nil {
				return err
			}
		}
		if err := rows.fits(s.tables.rowsName, slices.Concat(placeColumns, exportColumns, rowColumns, []column{deletedColumn}), rowKey); err != nil {
			return err
		}
		return state.fits(s.tables.stateName, slices.Concat(placeColumns, stateColumns), placeKey)
	})
	s.fits.Store(err == nil)
	return err
}

// create makes what is not there. Of several processes that find so one goes on
// at a time.
func (s *Store) create(ctx context.Context, t tx) error {
	encoding, err := t.query(ctx, "select getdatabaseencoding(), pg_advisory_xact_lock(hashtextextended($1, 0))", "kollect "+s.tables.rowsName)
	if err != nil {
		return err
	}
	if name := string(encoding[0][0]); name != "UTF8" {
		return sink.Permanent(fmt.Errorf("spec.secretRef: the database has the encoding %s: name one with the encoding UTF8", name))
	}
	schema, err := t.query(ctx, "select 1 from pg_catalog.pg_namespace where nspname = $1", s.tables.schema)
	if err != nil {
		return err
	}
	var statements []string
	if len(schema) == 0 {
		statements = append(statements, "create schema "+pgx.Identifier{s.tables.schema}.Sanitize())
	}
	there, err := t.query(ctx, "select c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1", s.tables.schema)
	if err != nil {
		return err
	}
	for _, make := range []struct {
		name      string
		statement func() string
	}{
		{s.tables.rows, s.tables.createRows}, {s.tables.state, s.tables.createState},
		{currentView, s.tables.createCurrent}, {staleView, s.tables.createStale},
	} {
		if !slices.ContainsFunc(there, func(row [][]byte) bool { return string(row[0]) == make.name }) {
			statements = append(statements, make.statement())
		}
	}
	for _, statement := range statements {
		if _, err := t.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// found is a table that is there.
type found struct {
	kind    string
	columns []foundColumn
	keys    []string // the columns of each unique index, by name, with commas
}

type foundColumn struct {
	name, kind             string
	notNull, filled, clear bool
}

func (t *tables) find(ctx context.Context, tx tx) (rows, state *found, err error) {
	if rows, err = findTable(ctx, tx, t.schema, t.rows); err == nil {
		state, err = findTable(ctx, tx, t.schema, t.state)
	}
	return rows, state, err
}

// findTable returns nil if there is no such table.
func findTable(ctx context.Context, t tx, schema, table string) (*found, error) {
	columns, err := t.query(ctx, `select c.relkind, coalesce(a.attname, ''), coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), ''),
	coalesce(a.attnotnull, false), coalesce(a.atthasdef or a.attidentity <> '', false), coalesce(a.attgenerated <> '', false)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relname = $2 order by a.attnum`, schema, table)
	if err != nil || len(columns) == 0 {
		return nil, err
	}
	keys, err := t.query(ctx, `select (select string_agg(a.attname, ',' order by a.attname collate "C") from pg_catalog.pg_attribute a
	where a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[]))
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
	and i.indnatts = i.indnkeyatts`, schema, table)
	if err != nil {
		return nil, err
	}
	f := &found{kind: string(columns[0][0])}
	is := func(value []byte) bool { return string(value) == "t" }
	for _, c := range columns {
		f.columns = append(f.columns, foundColumn{
			name: string(c[1]), kind: string(c[2]), notNull: is(c[3]), filled: is(c[4]), clear: !is(c[5]),
		})
	}
	for _, k := range keys {
		f.keys = append(f.keys, string(k[0]))
	}
	return f, nil
}

// fits says which column or key does not fit, and what would mend it.
func (f *found) fits(table string, columns []column, key []string) error {
	if f == nil || f.kind != "r" && f.kind != "p" {
		return errMisfit(table, "it is not a table", "drop it")
	}
	for _, want := range columns {
		i := slices.IndexFunc(f.columns, func(c foundColumn) bool { return c.name == want.name })
		if i < 0 {
			return errMisfit(table, "it has no column "+want.name, fmt.Sprintf("add it with the type %s", want.kind))
		}
		switch have := f.columns[i]; {
		case have.kind != want.kind:
			return errMisfit(table, fmt.Sprintf("column %s has the type %s", want.name, have.kind), fmt.Sprintf("change it to %s", want.kind))
		case have.notNull && want.null:
			return errMisfit(table, fmt.Sprintf("column %s is not null", want.name), "drop that constraint")
		case !have.clear:
			return errMisfit(table, fmt.Sprintf("column %s is generated", want.name), "make it a plain one")
		}
	}
	for _, have := range f.columns {
		ours := slices.ContainsFunc(columns, func(c column) bool { return c.name == have.name })
		if !ours && have.notNull && !have.filled && have.clear {
			return errMisfit(table, fmt.Sprintf("column %s is not null and has no default", have.name), "give it one, or drop it")
		}
	}
	sorted := slices.Sorted(slices.Values(key))
	if !slices.Contains(f.keys, strings.Join(sorted, ",")) {
		return errMisfit(table, "it has no unique key over the columns "+strings.Join(key, ", "), "add one as its primary key")
	}
	return nil
}
