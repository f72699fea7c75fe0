package inventory

import (
	"slices"

	"kollect.io/kollect/pkg/inventory"
)

// groupIndex finds the groups that may select an object by one value that each
// requires, so that an event costs nothing for those that require another.
type groupIndex[T object] struct {
	kind           kind[T]
	labels, fields map[string]groupsByValue[T] // by the label's or field's name
	others         []*group[T]                 // that require no value
}

type groupsByValue[T object] map[string][]*group[T]

func newGroupIndex[T object](k kind[T]) groupIndex[T] {
	return groupIndex[T]{kind: k, labels: map[string]groupsByValue[T]{}, fields: map[string]groupsByValue[T]{}}
}

// each calls fn with each group that may select the object; with some more than
// once.
func (x *groupIndex[T]) each(object T, fn func(*group[T])) {
	for _, g := range x.others {
		fn(g)
	}
	if len(x.labels) > 0 {
		for name, value := range inventory.Members(x.kind.labels(object)) {
			if values := x.labels[name]; values != nil {
				for _, g := range values[inventory.Unquote(value)] {
					fn(g)
				}
			}
		}
	}
	for name, values := range x.fields {
		for _, g := range values[x.kind.field(object, name)] {
			fn(g)
		}
	}
}

func (x *groupIndex[T]) add(g *group[T]) {
	required := g.selected.requires()
	if required == nil {
		x.others = append(x.others, g)
		return
	}
	byName := x.of(required)
	values := byName[required.name]
	if values == nil {
		values = groupsByValue[T]{}
		byName[required.name] = values
	}
	for _, value := range required.values {
		values[value] = append(values[value], g)
	}
}

func (x *groupIndex[T]) remove(g *group[T]) {
	required := g.selected.requires()
	if required == nil {
		x.others = without(x.others, g)
		return
	}
	byName := x.of(required)
	values := byName[required.name]
	for _, value := range required.values {
		if values[value] = without(values[value], g); len(values[value]) == 0 {
			delete(values, value)
		}
	}
	if len(values) == 0 {
		delete(byName, required.name)
	}
}

func (x *groupIndex[T]) of(r *required) map[string]groupsByValue[T] {
	if r.label {
		return x.labels
	}
	return x.fields
}

func without[T object](all []*group[T], g *group[T]) []*group[T] {
	i := slices.Index(all, g)
	return slices.Delete(all, i, i+1)
}

func (k rows) field(r row, name string) string { return (&rowFields{r}).Get(name) }
func (k rows) labels(r row) string             { return r.Row.Labels() }

func (k accessibleRows) field(r accessibleRow, name string) string {
	return (&accessibleFields{rowFields{r.row}}).Get(name)
}

func (k accessibleRows) labels(r accessibleRow) string { return r.Row.Labels() }

func (k heads) field(h head, name string) string { return h.fields().Get(name) }
func (k heads) labels(head) string               { return "{}" }
