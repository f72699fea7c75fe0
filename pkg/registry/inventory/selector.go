package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// AddToScheme registers the served kinds and the fields by which they can be
// selected.
func AddToScheme(scheme *runtime.Scheme) error {
	if err := inventoryv1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
		for kind, valid := range map[string][]string{
			heads{scope}.names().kind: metaFields(scope),
			rows{scope}.names().kind:  slices.Concat(metaFields(scope), rowFieldNames),
		} {
			gvk := inventoryv1alpha1.SchemeGroupVersion.WithKind(kind)
			if err := scheme.AddFieldLabelConversionFunc(gvk, fieldLabels(valid)); err != nil {
				return fmt.Errorf("register fields of %s: %w", kind, err)
			}
		}
	}
	return nil
}

func fieldLabels(valid []string) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		if slices.Contains(valid, label) {
			return label, value, nil
		}
		return "", "", fmt.Errorf("field label not supported: %q: valid are %s", label, strings.Join(valid, ", "))
	}
}

const (
	fieldName      = "metadata.name"
	fieldNamespace = "metadata.namespace"
	fieldInventory = "inventory"
)

func metaFields(scope inventory.Scope) []string {
	if scope == inventory.Cluster {
		return []string{fieldName}
	}
	return []string{fieldName, fieldNamespace}
}

// rowFieldNames are the fields of rows beside their metadata. A target is
// selected as namespace/name, or as name if it has no namespace.
var rowFieldNames = []string{
	fieldInventory, "source.group", "source.kind", "source.name", "source.namespace", "source.resource", "source.uid", "target",
}

// selection says which objects a request is about.
type selection struct {
	namespace, name string
	label           labels.Selector // nil: all
	field           fields.Selector // nil: all
}

// newSelection returns the selection of a list or watch.
func newSelection(ctx context.Context, options *metainternalversion.ListOptions) *selection {
	s := &selection{namespace: request.NamespaceValue(ctx)}
	if options.LabelSelector != nil && !options.LabelSelector.Empty() {
		s.label = options.LabelSelector
	}
	if options.FieldSelector != nil && !options.FieldSelector.Empty() {
		s.field = options.FieldSelector
		s.name = s.exact(fieldName)
	}
	return s
}

// exact returns the one value that the field selector leaves to a field.
func (s *selection) exact(field string) string {
	if s.field == nil {
		return ""
	}
	value, _ := s.field.RequiresExactMatch(field)
	return value
}

func (s *selection) all() bool { return s.label == nil && s.field == nil }

// place is where selected objects are. All that is selected is in it.
type place struct {
	namespace string         // empty: in all
	inventory string         // empty: in all
	key       *inventory.Key // of one row; nil: all
	nowhere   bool
}

// newPlace narrows down a selection without its name.
func newPlace(s *selection) place {
	p := place{namespace: s.namespace}
	if selected := s.exact(fieldNamespace); selected != "" {
		p.nowhere = p.namespace != "" && p.namespace != selected
		p.namespace = selected
	}
	return p
}

// within narrows the place down to an inventory.
func (p *place) within(name string) {
	p.nowhere = p.nowhere || p.inventory != "" && p.inventory != name
	p.inventory = name
}

// has reports whether an inventory is in the place.
func (p *place) has(ref inventory.Ref) bool {
	return !p.nowhere && (p.namespace == "" || p.namespace == ref.Namespace) && (p.inventory == "" || p.inventory == ref.Name)
}

// labelSet reads labels from a row's JSON.
type labelSet struct{ json string }

var _ labels.Labels = &labelSet{}

func (l *labelSet) Has(label string) bool {
	_, ok := inventory.Member(l.json, label)
	return ok
}

func (l *labelSet) Get(label string) string {
	value, _ := l.Lookup(label)
	return value
}

func (l *labelSet) Lookup(label string) (string, bool) {
	value, ok := inventory.Member(l.json, label)
	return unquote(value), ok
}

// unquote returns the string that a JSON value is, or else the value.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' {
		return value
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	var s string
	if json.Unmarshal([]byte(value), &s) != nil {
		return value
	}
	return s
}
