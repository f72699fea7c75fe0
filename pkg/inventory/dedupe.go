package inventory

import "slices"

// replaceDeduped is replace where a key keeps the last of its rows in row order
// and hides the others. A key has at most one row of each target.
func (inv *inventory) replaceDeduped(before, after *Row) {
	if before != nil {
		inv.dropCandidate(inv.keyer.key(before), before)
	}
	if after != nil {
		inv.addCandidate(inv.keyer.key(after), after)
	}
}

func (inv *inventory) dropCandidate(key Key, row *Row) {
	rows := inv.hidden[key]
	if current := inv.current(key); current == nil || *current.target != *row.target {
		inv.hide(key, slices.DeleteFunc(rows, func(r *Row) bool { return *r.target == *row.target }))
		return
	}
	if len(rows) == 0 {
		inv.show(key, nil)
		return
	}
	last := slices.MaxFunc(rows, compareRows)
	inv.show(key, last)
	inv.hide(key, slices.DeleteFunc(rows, func(r *Row) bool { return r == last }))
}

func (inv *inventory) addCandidate(key Key, row *Row) {
	current := inv.current(key)
	if current == nil || compareRows(current, row) < 0 {
		inv.show(key, row)
		row = current
	}
	if row != nil {
		inv.hide(key, append(inv.hidden[key], row))
	}
}

func compareRows(a, b *Row) int { return a.Identity().Compare(b.Identity()) }

func (inv *inventory) show(key Key, row *Row) {
	if inv.shown == nil {
		inv.shown = map[Key]*Row{}
	}
	inv.shown[key] = row
}

func (inv *inventory) hide(key Key, rows []*Row) {
	if len(rows) == 0 {
		delete(inv.hidden, key)
		return
	}
	if inv.hidden == nil {
		inv.hidden = map[Key][]*Row{}
	}
	inv.hidden[key] = rows
}

// current returns the row of key as of the transaction's edits.
func (inv *inventory) current(key Key) *Row {
	if row, ok := inv.shown[key]; ok {
		return row
	}
	e, _ := inv.root.get(key)
	return e.Row
}
