package controller

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

func TestNamespacesAreSelected(t *testing.T) {
	existing := func(fn func(string, labels.Set)) {
		for name, set := range map[string]labels.Set{"own": {}, "a": {"team": "a"}, "b": {"team": "a"}, "c": {"team": "c"}} {
			fn(name, set)
		}
	}
	teamA := &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	for _, tc := range []struct {
		name   string
		s      *kollectv1alpha1.NamespaceSelection
		own    string
		want   []string
		lookup bool
	}{
		{"default of a namespaced target", nil, "own", []string{"own"}, false},
		{"default of a cluster target", nil, "", []string{"a", "b", "c", "own"}, true},
		{"exclude alone starts from the default", &kollectv1alpha1.NamespaceSelection{Exclude: []string{"c"}}, "", []string{"a", "b", "own"}, true},
		{"exclude of the own one", &kollectv1alpha1.NamespaceSelection{Exclude: []string{"own"}}, "own", nil, false},
		{"names, existing or not", &kollectv1alpha1.NamespaceSelection{Names: []string{"x", "a"}}, "own", []string{"a", "x"}, false},
		{"a selector", &kollectv1alpha1.NamespaceSelection{Selector: teamA}, "own", []string{"a", "b"}, true},
		{"the empty selector", &kollectv1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{}}, "own", []string{"a", "b", "c", "own"}, true},
		{"the union, less exclude", &kollectv1alpha1.NamespaceSelection{Names: []string{"c", "x"}, Selector: teamA, Exclude: []string{"b", "x"}}, "own", []string{"a", "c"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, problem := parseNamespaces(tc.s, tc.own)
			if problem != nil {
				t.Fatal(problem.message)
			}
			if got := s.Selected(existing); !slices.Equal(got, tc.want) {
				t.Errorf("selected %v, want %v", got, tc.want)
			}
			if got := s.Lookup(); got != tc.lookup {
				t.Errorf("lookup is %v, want %v", got, tc.lookup)
			}
		})
	}
	_, problem := parseNamespaces(&kollectv1alpha1.NamespaceSelection{Selector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "team", Operator: "Near"}},
	}}, "")
	if problem == nil || !strings.HasPrefix(problem.message, "spec.namespaces.selector: ") {
		t.Errorf("problem %+v, want one that names the field", problem)
	}
}
