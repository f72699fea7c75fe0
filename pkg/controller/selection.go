package controller

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
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

// parseNamespaces parses a selection. own is what is selected by default; empty
// is all.
func parseNamespaces(s *kollectv1alpha1.NamespaceSelection, own string) (collect.NamespaceScope, *problem) {
	parsed := collect.NamespaceScope{}
	if s != nil {
		selector, problem := parseSelector("spec.namespaces.selector", s.Selector)
		if problem != nil {
			return parsed, problem
		}
		parsed.Names, parsed.Exclude, parsed.Selector = s.Names, s.Exclude, selector
		if selector != nil && selector.Empty() {
			parsed.All, parsed.Selector = true, nil
		}
	}
	if s == nil || s.Selector == nil && len(s.Names) == 0 {
		parsed.All = own == ""
		if own != "" {
			parsed.Names = []string{own}
		}
	}
	return parsed, nil
}
