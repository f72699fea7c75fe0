package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// ensure makes the tables if they are not there, adds columns for the promoted
// attributes that have none, and checks that all fit.
func (s *Store) ensure(ctx context.Context, promoted []inventory.Column) (*layout, error) {
	var l *layout
	err := s.inTransaction(ctx, func(t tx) error {
		there, err := s.tables.find(ctx, t)
		if err != nil {
			return err
		}
		switch {
		case s.mustExist && (there.rows == nil || there.state == nil):
			return fmt.Errorf("table %s: %w", s.tables.rowsName, sink.ErrAbsent)
		case s.mustExist:
			promoted = nil // whoever only looks needs no column for them
		case there.lacks(&s.tables, promoted):
			if there, err = s.complete(ctx, t, promoted); err != nil {
				return err
			}
		}
		if err := there.fits(&s.tables); err != nil {
			return err
		}
		l = layoutOf(there.rows)
		return nil
	})
	if err != nil {
		l = nil
	}
	s.layout.Store(l)
	if err != nil {
		return nil, err
	}
	return l, l.fits(&s.tables, promoted) // which is no other inventory's concern
}

// addTimeout bounds the wait for somebody else's transaction: who waits to change a
// table holds up all who come to read it.
const addTimeout = "set local lock_timeout = '5s'"

// complete makes what is not there, and returns what is then. Of several processes
// that find so one goes on at a time.
func (s *Store) complete(ctx context.Context, t tx, promoted []inventory.Column) (*relations, error) {
	encoding, err := t.query(ctx, "select getdatabaseencoding(), pg_advisory_xact_lock(hashtextextended($1, 0))", "kollect "+s.tables.rowsName)
	if err != nil {
		return nil, err
	}
	if name := string(encoding[0][0]); name != "UTF8" {
		return nil, sink.Permanent(fmt.Errorf("spec.secretRef: the database has the encoding %s: name one with the encoding UTF8", name))
	}
	there, err := s.tables.find(ctx, t)
	if err != nil {
		return nil, err
	}
	statements := s.tables.make(there)
	if there.rows != nil {
		if err := there.rows.fits(s.tables.rowsName, rowsColumns, rowKey); err != nil {
			return nil, err
		}
		if missing := layoutOf(there.rows).missing(promoted); len(missing) > 0 && !there.rows.owned {
			c := missing[0]
			return nil, errMisfit(s.tables.rowsName, "it has no column "+promotedName(c.Name)+" for a promoted attribute",
				"add it with the type "+promotedKinds(c.Type)[0]+", or let the user of the connection string own the table")
		}
	}
	for _, statement := range append(statements, addTimeout) {
		if _, err := t.exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	if there, err = s.tables.find(ctx, t); err != nil {
		return nil, err
	}
	if err := s.add(ctx, t, layoutOf(there.rows).missing(promoted)); err != nil {
		return nil, err
	}
	if there, err = s.tables.find(ctx, t); err != nil {
		return nil, err
	}
	for _, statement := range s.tables.show(there) {
		if _, err := t.exec(ctx, statement); err != nil {
			return nil, err
		}
	}
	return there, nil
}

// add adds columns. Who has rows that are to have values in them wrote these before
// somebody dropped the column, and has to write them again.
func (s *Store) add(ctx context.Context, t tx, columns []inventory.Column) error {
	if len(columns) == 0 {
		return nil
	}
	if _, err := t.exec(ctx, s.tables.add(columns)); err != nil {
		return err
	}
	for _, c := range columns {
		if _, err := t.exec(ctx, s.tables.dropped, inSchema(c.Name)); err != nil {
			return err
		}
	}
	return nil
}

// make returns the statements that make the tables that are not there. The rows of a
// table that somebody dropped have to be written again.
func (t *tables) make(there *relations) (statements []string) {
	if !there.schema {
		statements = append(statements, "create schema "+pgx.Identifier{t.schema}.Sanitize())
	}
	if there.rows == nil {
		statements = append(statements, t.createRows())
	}
	switch {
	case there.state == nil:
		statements = append(statements, t.createState())
	case there.rows == nil:
		statements = append(statements, t.orphan)
	}
	return statements
}

// relations are what there is of the sink's; nil: it is not there.
type relations struct {
	schema, mayCreate           bool
	rows, state, current, stale *found
}

func (t *tables) find(ctx context.Context, tx tx) (*relations, error) {
	r := &relations{}
	schema, err := tx.query(ctx, "select has_schema_privilege(oid, 'CREATE') from pg_catalog.pg_namespace where nspname = $1", t.schema)
	if err != nil {
		return nil, err
	}
	r.schema, r.mayCreate = len(schema) > 0, len(schema) == 0 || isTrue(schema[0][0])
	for _, relation := range []struct {
		name string
		into **found
	}{{t.rows, &r.rows}, {t.state, &r.state}, {currentView, &r.current}, {staleView, &r.stale}} {
		if *relation.into, err = findRelation(ctx, tx, t.schema, relation.name); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// lacks reports whether there is something to make or to add.
func (r *relations) lacks(t *tables, promoted []inventory.Column) bool {
	return r.rows == nil || r.state == nil || len(layoutOf(r.rows).missing(promoted)) > 0 || len(t.show(r)) > 0
}

func (r *relations) fits(t *tables) error {
	if err := r.rows.fits(t.rowsName, rowsColumns, rowKey); err != nil {
		return err
	}
	return r.state.fits(t.stateName, slices.Concat(placeColumns, stateColumns), placeKey)
}

// found is a table or a view that is there.
type found struct {
	kind    string
	owned   bool // by the user, who may change it
	comment string
	columns []foundColumn
	keys    []string // the columns of each unique index, by name, with commas
}

type foundColumn struct {
	name, kind             string
	notNull, filled, clear bool
}

func isTrue(value []byte) bool { return string(value) == "t" }

// findRelation returns nil if there is none.
func findRelation(ctx context.Context, t tx, schema, name string) (*found, error) {
	columns, err := t.query(ctx, `select c.relkind, pg_has_role(c.relowner, 'USAGE'), coalesce(obj_description(c.oid, 'pg_class'), ''),
	coalesce(a.attname, ''), coalesce(pg_catalog.format_type(a.atttypid, a.atttypmod), ''),
	coalesce(a.attnotnull, false), coalesce(a.atthasdef or a.attidentity <> '', false), coalesce(a.attgenerated <> '', false)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = $1 and c.relname = $2 order by a.attnum`, schema, name)
	if err != nil || len(columns) == 0 {
		return nil, err
	}
	keys, err := t.query(ctx, `select (select string_agg(a.attname, ',' order by a.attname collate "C") from pg_catalog.pg_attribute a
	where a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[]))
from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
	and i.indnatts = i.indnkeyatts`, schema, name)
	if err != nil {
		return nil, err
	}
	f := &found{kind: string(columns[0][0]), owned: isTrue(columns[0][1]), comment: string(columns[0][2])}
	for _, c := range columns {
		f.columns = append(f.columns, foundColumn{
			name: string(c[3]), kind: string(c[4]), notNull: isTrue(c[5]), filled: isTrue(c[6]), clear: !isTrue(c[7]),
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
