package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// promotedPrefix starts the names of columns for promoted attributes. Who else has
// a column that starts so must expect it to be set to null.
const promotedPrefix = "attr_"

// maxName is how many bytes of a name PostgreSQL keeps.
const maxName = 63

// promotedName returns the name of an attribute's column. What does not fit is cut
// off, and a digest tells apart what was alike until there.
func promotedName(attribute string) string {
	name := promotedPrefix + clean(attribute)
	if len(name) <= maxName {
		return name
	}
	digest := sha256.Sum256([]byte(name))
	suffix := "_" + hex.EncodeToString(digest[:4])
	return strings.ToValidUTF8(name[:maxName-len(suffix)], "") + suffix
}

// promotedKinds are the types of columns that take an attribute's values: the first
// is added, and the last takes those of every other type, too.
func promotedKinds(t inventory.ColumnType) []string {
	switch t {
	case inventory.ColumnInteger:
		return []string{"bigint", "numeric", "text"}
	case inventory.ColumnNumber:
		return []string{"double precision", "numeric", "text"}
	case inventory.ColumnBoolean:
		return []string{"boolean", "text"}
	}
	return []string{"text"}
}

// schemaOf identifies what the inventory's rows are like in the table. Which
// attributes are promoted can be told from it: see inSchema.
func schemaOf(of *inventory.Inventory) string {
	schema := schemaVersion
	for _, c := range of.Columns {
		schema += " " + clean(c.Name) + ":" + string(c.Type)
	}
	return schema
}

// inSchema is what the schemas have in them of inventories that promote the attribute.
func inSchema(attribute string) string { return " " + clean(attribute) + ":" }

// appendPromoted appends the values of the columns, for COPY, each after a tab.
func appendPromoted(buf []byte, columns []inventory.Column, attributes string) []byte {
	inventory.EachPromoted(columns, attributes, func(i int, value string) {
		buf = appendTyped(append(buf, '\t'), columns[i].Type, value)
	})
	return buf
}

// appendTyped appends an attribute's value. One of another type, as where two
// profiles disagree, is its JSON in a column of strings and null in the others: the
// column attributes has it in any case.
func appendTyped(buf []byte, t inventory.ColumnType, value string) []byte {
	if value != "" && value != "null" {
		switch t {
		case inventory.ColumnInteger:
			if i, err := strconv.ParseInt(value, 10, 64); err == nil {
				return strconv.AppendInt(buf, i, 10)
			}
		case inventory.ColumnNumber:
			// The server refuses what is too small for it, where this rounds to zero.
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				return strconv.AppendFloat(buf, f, 'g', -1, 64)
			}
		case inventory.ColumnBoolean:
			if value == "true" || value == "false" {
				return append(buf, value...)
			}
		default:
			return appendText(buf, inventory.Unquote(value))
		}
	}
	return append(buf, `\N`...)
}

// layout is what is known of the table of rows: its columns for promoted attributes,
// of all inventories, in their order.
type layout struct{ promoted []foundColumn }

func layoutOf(rows *found) *layout {
	l := &layout{}
	for _, c := range rows.columns {
		if strings.HasPrefix(c.name, promotedPrefix) {
			l.promoted = append(l.promoted, c)
		}
	}
	return l
}

func (l *layout) find(c inventory.Column) (foundColumn, bool) {
	name := promotedName(c.Name)
	i := slices.IndexFunc(l.promoted, func(have foundColumn) bool { return have.name == name })
	if i < 0 {
		return foundColumn{}, false
	}
	return l.promoted[i], true
}

// missing returns which of the columns are not there.
func (l *layout) missing(columns []inventory.Column) (missing []inventory.Column) {
	for _, c := range columns {
		if _, there := l.find(c); !there {
			missing = append(missing, c)
		}
	}
	return missing
}

// fits says which column does not take the values of its attribute, and what would
// mend it.
func (l *layout) fits(t *tables, columns []inventory.Column) error {
	for _, c := range columns {
		have, _ := l.find(c)
		kinds := promotedKinds(c.Type)
		table, column := t.quoted(t.rows), pgx.Identifier{have.name}.Sanitize()
		switch widest := kinds[len(kinds)-1]; {
		case !slices.Contains(kinds, have.kind):
			return sink.Permanent(fmt.Errorf("the promoted attribute %s has the type %s, and column %s of table %s the type %s: "+
				"declare the type alike in all profiles, or have the column take every type: DROP VIEW IF EXISTS %s; ALTER TABLE %s ALTER COLUMN %s TYPE %s",
				c.Name, c.Type, have.name, t.rowsName, have.kind, t.quoted(currentView), table, column, widest))
		case have.notNull:
			return errMisfit(t.rowsName, fmt.Sprintf("column %s is not null", have.name), "drop that constraint")
		case !have.clear:
			return errMisfit(t.rowsName, fmt.Sprintf("column %s is generated", have.name), "make it a plain one")
		}
	}
	return nil
}

// add returns the statement that adds columns for attributes.
func (t *tables) add(columns []inventory.Column) string {
	var add []string
	for _, c := range columns {
		add = append(add, "add column if not exists "+pgx.Identifier{promotedName(c.Name)}.Sanitize()+" "+promotedKinds(c.Type)[0])
	}
	return "alter table " + t.quoted(t.rows) + " " + strings.Join(add, ", ")
}

// writing are the statements that write rows of an inventory.
type writing struct {
	promoted                      []inventory.Column
	copyRows, createDelta, upsert string
}

// writing returns the statements for rows with these promoted columns. Others, which
// the rows may have had before, become null.
func (t *tables) writing(columns []inventory.Column, l *layout) *writing {
	w := &writing{promoted: columns}
	rows := t.quoted(t.rows)
	own, into := list("", rowColumns), list("", placeColumns, exportColumns, rowColumns)
	var set []string
	for _, c := range slices.Concat(exportColumns, rowColumns[1:]) {
		set = append(set, c.name+" = excluded."+c.name)
	}
	promoted := map[string]bool{}
	for _, c := range columns {
		name := promotedName(c.Name)
		quoted := pgx.Identifier{name}.Sanitize()
		promoted[name] = true
		own, into = own+", "+quoted, into+", "+quoted
		set = append(set, quoted+" = excluded."+quoted)
	}
	for _, c := range l.promoted {
		if !promoted[c.name] && c.clear && !c.notNull {
			set = append(set, pgx.Identifier{c.name}.Sanitize()+" = null")
		}
	}
	w.copyRows = "copy " + rows + " (" + into + ") from stdin"
	w.createDelta = "create temporary table kollect_delta on commit drop as select " + own + " from " + rows + " with no data; " +
		"set local enable_hashjoin = off; set local enable_mergejoin = off"
	w.upsert = "insert into " + rows + " (" + into + ") select $1, $2, $3, $4::bigint, $5::timestamptz, " + own +
		" from pg_temp.kollect_delta where row_hash is not null" +
		" on conflict (" + strings.Join(rowKey, ", ") + ") do update set " + strings.Join(set, ", ") + ", deleted_at = null"
	return w
}
