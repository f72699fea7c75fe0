package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	operator "k8s.io/apimachinery/pkg/selection"

	"kollect.io/kollect/pkg/inventory"
)

// id is the same of selections that select the same, as far as their selectors
// say the same, and of no others.
func (s *selection) id() string {
	parts := []string{strconv.Quote(s.namespace)}
	if s.label != nil {
		parts = append(parts, "labels")
		requirements, _ := s.label.Requirements() // none if it selects nothing
		for _, r := range requirements {
			parts = append(parts, fmt.Sprintf("label %q %s %q", r.Key(), r.Operator(), r.Values().List()))
		}
	}
	if s.field != nil {
		parts = append(parts, "fields")
		for _, r := range s.field.Requirements() {
			parts = append(parts, fmt.Sprintf("field %q %s %q", r.Field, r.Operator, r.Value))
		}
	}
	slices.Sort(parts[1:])
	return strings.Join(parts, ";")
}

// required is a label or field that has one of some values in all objects of a
// selection.
type required struct {
	label  bool
	name   string
	values []string
}

// requires returns what can be expected to leave the fewest objects, or nil if
// nothing is required.
func (s *selection) requires() *required {
	var all []*required
	if s.namespace != "" {
		all = append(all, &required{name: fieldNamespace, values: []string{s.namespace}})
	}
	if s.field != nil {
		for _, r := range s.field.Requirements() {
			if r.Operator != operator.NotEquals {
				all = append(all, &required{name: r.Field, values: []string{r.Value}})
			}
		}
	}
	if s.label != nil {
		requirements, _ := s.label.Requirements()
		for _, r := range requirements {
			switch r.Operator() {
			case operator.Equals, operator.DoubleEquals, operator.In:
				all = append(all, &required{label: true, name: r.Key(), values: r.Values().List()})
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *required) int { return a.breadth() - b.breadth() })
}

// breadth is the lower, the fewer objects can be expected to meet it.
func (r *required) breadth() int {
	switch {
	case r.label:
		return 3 + len(r.values)
	case r.name == fieldName, r.name == string(inventory.FieldUID):
		return 1
	case r.name == string(inventory.FieldName):
		return 2
	case strings.HasPrefix(r.name, inventory.AttributeFields):
		return 3
	}
	return 10
}
