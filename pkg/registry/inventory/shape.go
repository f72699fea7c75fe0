package inventory

import (
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// shape says which attributes the tables of a request have as columns. All pages
// of a list, and the watch that follows it, have the same. It never changes.
type shape struct {
	columns []inventory.Column
	key     string // of equal shapes
}

// newShape returns the shape of columns, which it keeps.
func newShape(columns []inventory.Column) *shape {
	var key strings.Builder
	for _, c := range columns {
		key.WriteString(c.Name + ":" + string(c.Type) + ",")
	}
	return &shape{columns: columns, key: key.String()}
}

// attributes are the columns of a shape; nil has none.
func (s *shape) attributes() []inventory.Column {
	if s == nil {
		return nil
	}
	return s.columns
}

// id tells shapes apart.
func (s *shape) id() string {
	if s == nil {
		return ""
	}
	return s.key
}

// shape has the promoted attributes if all rows of the place are of one
// inventory or of one kind. It is found by looking at inventories, not rows.
func (k rows) shape(s *inventory.State, p place) *shape {
	only := p.sourceKind()
	var columns []inventory.Column
	var kind inventory.KindCount
	inventories, kinds := 0, 0
	for snapshot := range k.snapshots(s, p, "") {
		selected := false
		for _, count := range snapshot.Head().Kinds {
			if only != "" && count.Kind != only {
				continue
			}
			selected = true
			if kinds == 0 || count.Group != kind.Group || count.Kind != kind.Kind {
				kinds++
			}
			kind = count
		}
		if selected {
			inventories++
			columns = append(columns, snapshot.Inventory().Columns...)
		}
		if inventories > 1 && kinds > 1 {
			return nil
		}
	}
	if len(columns) == 0 {
		return nil
	}
	return newShape(inventory.MergeColumns(columns))
}

// sourceKind is the one kind that the place leaves to sources, or empty.
func (p *place) sourceKind() string {
	for _, q := range p.content {
		if q.Field == inventory.FieldKind && !q.Not {
			return q.Value
		}
	}
	return ""
}

// staleness says which inventories of the place have rows that may be out of
// date, for those who look at a table of rows.
func (k rows) staleness(s *inventory.State, p place) string {
	var stale []string
	for snapshot := range k.snapshots(s, p, "") {
		if snapshot.Head().Stale() {
			stale = append(stale, snapshot.Inventory().Ref.String())
		}
	}
	if len(stale) == 0 {
		return ""
	}
	return "rows of " + some(stale) + " may be out of date: a target's source can't be watched now; see status.targets of the inventory"
}

func (k heads) staleness(*inventory.State, place) string { return "" } // a column says so
