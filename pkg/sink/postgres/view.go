package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/pkg/sink"
)

// Views for people.
const (
	currentView = "inventory_current"
	staleView   = "inventory_stale"
	// staleAfter, unless the sink says otherwise, is ten times how often unchanged
	// content is confirmed by default.
	staleAfter = sink.StaleAfter
)

// view is one as it should be.
type view struct {
	name    string
	columns []string
	query   string
}

// current shows the rows. Its columns only grow, at the end, as those of a view that
// others are made of must.
func (t *tables) current(rows *found) view {
	columns := append(names(slices.Concat(placeColumns, rowColumns, exportColumns)), "confirmed_at")
	from := list("r.", placeColumns, rowColumns, exportColumns) + ", s.confirmed_at"
	for _, c := range layoutOf(rows).promoted {
		columns = append(columns, c.name)
		from += ", r." + pgx.Identifier{c.name}.Sanitize()
	}
	return view{currentView, columns, "select " + from + " from " + t.quoted(t.rows) + " r join " + t.quoted(t.state) +
		" s using (" + strings.Join(placeKey, ", ") + ") where r.deleted_at is null"}
}

// stale shows the inventories that nobody has confirmed for long.
func (t *tables) stale() view {
	return view{staleView, append(names(slices.Concat(placeColumns, stateColumns)), "age"),
		"select " + list("", placeColumns, stateColumns) +
			", now() - confirmed_at as age from " + t.quoted(t.state) + " where content_hash <> '' and confirmed_at < now() - interval '" + strconv.FormatInt(t.staleAfter.Milliseconds(), 10) + " milliseconds'"}
}

// show returns the statements that make the views, or have them show what they
// should. A view is left alone that the user may not make or change, or that others
// have made, or made their own by removing the comment.
func (t *tables) show(there *relations) (statements []string) {
	if there.rows == nil || !there.mayCreate {
		return nil
	}
	for _, v := range []struct {
		view
		have *found
	}{{t.current(there.rows), there.current}, {t.stale(), there.stale}} {
		ours := "Made by Kollect for the table " + t.rowsName + ", and made anew when it is to show more, unless this comment is removed."
		digest := sha256.Sum256([]byte(v.query))
		comment := ours + " " + hex.EncodeToString(digest[:4])
		if have := v.have; have != nil && (have.kind != "v" || !have.owned || !strings.HasPrefix(have.comment, ours) || have.comment == comment ||
			!startsWith(v.columns, have.columns)) {
			continue
		}
		name := t.quoted(v.name)
		statements = append(statements, "create or replace view "+name+" as "+v.query, "comment on view "+name+" is '"+comment+"'")
	}
	return statements
}

func startsWith(names []string, columns []foundColumn) bool {
	if len(columns) > len(names) {
		return false
	}
	for i, c := range columns {
		if names[i] != c.name {
			return false
		}
	}
	return true
}
