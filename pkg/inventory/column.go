package inventory

import (
	"slices"
	"strings"
)

// ColumnType is the type of a promoted attribute.
type ColumnType string

// The column types.
const (
	ColumnString  ColumnType = "string"
	ColumnInteger ColumnType = "integer"
	ColumnNumber  ColumnType = "number"
	ColumnBoolean ColumnType = "boolean"
)

// Column is a promoted attribute: a typed column in exports and tables.
type Column struct {
	Name string
	Type ColumnType
}

// updateColumns takes the union of the targets' columns.
func (inv *inventory) updateColumns(tx *Tx) {
	if !inv.columnsChanged {
		return
	}
	inv.columnsChanged = false
	var columns []Column
	for _, ref := range inv.def.Targets {
		columns = append(columns, tx.store.targets[ref].columns...)
	}
	columns = MergeColumns(columns)
	if slices.Equal(columns, inv.def.Columns) {
		return
	}
	def := *inv.def
	def.Columns = columns
	inv.def = &def
	inv.headChanged = true
}

// MergeColumns returns the union of columns, ordered by name, in their place.
// One that two disagree on is a string.
func MergeColumns(columns []Column) []Column {
	slices.SortStableFunc(columns, func(a, b Column) int { return strings.Compare(a.Name, b.Name) })
	merged := columns[:0]
	for _, c := range columns {
		last := len(merged) - 1
		switch {
		case last < 0 || merged[last].Name != c.Name:
			merged = append(merged, c)
		case merged[last].Type != c.Type:
			merged[last].Type = ColumnString
		}
	}
	return merged
}

// EachPromoted calls set with the JSON of each column's attribute in order, empty
// where there is none. Both the columns and the attributes are ordered by name, as
// those of inventories and rows are, so that one pass is enough.
func EachPromoted(columns []Column, attributes string, set func(i int, value string)) {
	next := 0
	for name, value := range Members(attributes) {
		for ; next < len(columns) && columns[next].Name < name; next++ {
			set(next, "")
		}
		if next == len(columns) {
			return
		}
		if columns[next].Name == name {
			set(next, value)
			next++
		}
	}
	for ; next < len(columns); next++ {
		set(next, "")
	}
}
