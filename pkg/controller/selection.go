package controller

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// parseSelector returns the selector, or nil for none, or a problem that names
// the field.
func parseSelector(field string, s *metav1.LabelSelector) (labels.Selector, *problem) {
	if s == nil {
		return nil, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return nil, problemf(reasonInvalidSpec, "%s: %v: correct the selector", field, err)
	}
	return selector, nil
}

// namespaceSelection is a NamespaceSelection that was parsed.
type namespaceSelection struct {
	all      bool
	names    []string
	selector labels.Selector
	exclude  []string
}

// parseNamespaces parses a selection. own is what is selected by default; empty
// is all.
func parseNamespaces(s *kollectv1alpha1.NamespaceSelection, own string) (namespaceSelection, *problem) {
	parsed := namespaceSelection{}
	if s != nil {
		selector, problem := parseSelector("spec.namespaces.selector", s.Selector)
		if problem != nil {
			return parsed, problem
		}
		parsed.names, parsed.exclude, parsed.selector = s.Names, s.Exclude, selector
		if selector != nil && selector.Empty() {
			parsed.all, parsed.selector = true, nil
		}
	}
	if s == nil || s.Selector == nil && len(s.Names) == 0 {
		parsed.all = own == ""
		if own != "" {
			parsed.names = []string{own}
		}
	}
	return parsed, nil
}

// lookup reports whether the selection depends on which namespaces exist.
func (s *namespaceSelection) lookup() bool { return s.all || s.selector != nil }

func (s *namespaceSelection) selects(name string, set labels.Set) bool {
	switch {
	case slices.Contains(s.exclude, name):
		return false
	case s.all || slices.Contains(s.names, name):
		return true
	}
	return s.selector != nil && s.selector.Matches(set)
}

// of returns the selected namespaces in order: those of the names, and those of
// the existing ones that are selected.
func (s *namespaceSelection) of(existing func() map[string]labels.Set) []string {
	var selected []string
	for _, name := range s.names {
		if s.selects(name, nil) {
			selected = append(selected, name)
		}
	}
	if s.lookup() {
		for name, set := range existing() {
			if s.selects(name, set) {
				selected = append(selected, name)
			}
		}
	}
	slices.Sort(selected)
	return slices.Compact(selected)
}
