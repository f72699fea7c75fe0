package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	operator "k8s.io/apimachinery/pkg/selection"
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
		for kind, convert := range map[string]runtime.FieldLabelConversionFunc{
			heads{scope}.names().kind: headFieldLabel(scope),
			rows{scope}.names().kind:  rowFieldLabel(scope),
		} {
			gvk := inventoryv1alpha1.SchemeGroupVersion.WithKind(kind)
			if err := scheme.AddFieldLabelConversionFunc(gvk, convert); err != nil {
				return fmt.Errorf("register fields of %s: %w", kind, err)
			}
		}
	}
	accessible := inventoryv1alpha1.SchemeGroupVersion.WithKind(accessibleRows{}.names().kind)
	if err := scheme.AddFieldLabelConversionFunc(accessible, accessibleFieldLabel); err != nil {
		return fmt.Errorf("register fields of %s: %w", accessible.Kind, err)
	}
	return nil
}

func headFieldLabel(scope inventory.Scope) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		if valid := metaFields(scope); !slices.Contains(valid, label) {
			return "", "", unknownField(label, valid)
		}
		return label, value, nil
	}
}

// rowFieldLabel takes any attribute: which are promoted is known to states.
func rowFieldLabel(scope inventory.Scope) runtime.FieldLabelConversionFunc {
	return func(label, value string) (string, string, error) {
		name, attribute := inventory.Field(label).Attribute()
		if valid := rowFieldNames(scope); (!attribute || name == "") && !slices.Contains(valid, label) {
			return "", "", unknownField(label, append(valid, inventory.AttributeFields+"<name of a promoted attribute>"))
		}
		return label, value, nil
	}
}

// accessibleFieldLabel takes any attribute: which are promoted may be hidden from
// the caller.
func accessibleFieldLabel(label, value string) (string, string, error) {
	valid := append(rowFieldNames(inventory.Namespaced), fieldInventoryNamespace)
	if name, attribute := inventory.Field(label).Attribute(); (!attribute || name == "") && !slices.Contains(valid, label) {
		return "", "", unknownField(label, append(valid, inventory.AttributeFields+"<name of an attribute>"))
	}
	return label, value, nil
}

func unknownField(label string, valid []string) error {
	return fmt.Errorf("field label not supported: %q: valid are %s", label, strings.Join(valid, ", "))
}

const (
	fieldName      = "metadata.name"
	fieldNamespace = "metadata.namespace"
	fieldInventory = "inventory"

	fieldInventoryNamespace = "inventoryNamespace" // of accessible rows alone
)

func metaFields(scope inventory.Scope) []string {
	if scope == inventory.Cluster {
		return []string{fieldName}
	}
	return []string{fieldName, fieldNamespace}
}

// rowFieldNames returns the fields of rows, without attributes.
func rowFieldNames(scope inventory.Scope) []string {
	return append(metaFields(scope), fieldInventory,
		string(inventory.FieldGroup), string(inventory.FieldKind), string(inventory.FieldName), string(inventory.FieldNamespace),
		string(inventory.FieldResource), string(inventory.FieldUID), string(inventory.FieldTarget))
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

// content returns what is required of the fields of rows that inventories know.
func (s *selection) content() []inventory.Requirement {
	if s.field == nil {
		return nil
	}
	var content []inventory.Requirement
	for _, r := range s.field.Requirements() {
		switch r.Field {
		case fieldName, fieldNamespace, fieldInventory:
		default:
			content = append(content, inventory.Requirement{
				Field: inventory.Field(r.Field), Value: r.Value, Not: r.Operator == operator.NotEquals,
			})
		}
	}
	return content
}

// check returns an error if an attribute is selected that no inventory of the
// place promotes.
func (s *selection) check(state *inventory.State, scope inventory.Scope, p place) error {
	var promoted map[string]bool
	for _, q := range s.content() {
		name, ok := q.Field.Attribute()
		if !ok {
			continue
		}
		if promoted == nil {
			promoted = map[string]bool{}
			for snapshot := range (rows{scope}).snapshots(state, p, "") {
				for _, c := range snapshot.Inventory().Columns {
					promoted[c.Name] = true
				}
			}
		}
		if !promoted[name] {
			valid := rowFieldNames(scope)
			for _, name := range slices.Sorted(maps.Keys(promoted)) {
				valid = append(valid, string(inventory.AttributeField(name)))
			}
			return errors.NewBadRequest(unknownField(string(q.Field), valid).Error())
		}
	}
	return nil
}

// place is where selected objects are. All that is selected is in it.
type place struct {
	namespace string                  // empty: in all
	inventory string                  // empty: in all
	key       *inventory.Key          // of one row; nil: all
	content   []inventory.Requirement // of rows
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

// narrow leaves of the place what the inventory and the name of selected rows do.
func (p *place) narrow(s *selection) {
	if selected := s.exact(fieldInventory); selected != "" {
		p.within(selected)
	}
	if s.name != "" {
		name, key, ok := parseRowName(s.name)
		p.nowhere = p.nowhere || !ok
		p.within(name)
		p.key = &key
	}
}

// has reports whether an inventory is in the place.
func (p *place) has(ref inventory.Ref) bool {
	return !p.nowhere && (p.namespace == "" || p.namespace == ref.Namespace) && (p.inventory == "" || p.inventory == ref.Name)
}

// labelSet reads labels from a row's JSON.
type labelSet struct{ json string }

// labelMatcher matches labels against a selector. It remembers the last, since
// an event mostly leaves them as they were. It must not be used concurrently.
type labelMatcher struct {
	selector labels.Selector // nil: all
	last     labelSet
	matched  bool
}

func (m *labelMatcher) matches(json string) bool {
	if m.selector == nil {
		return true
	}
	if json != m.last.json { // which is empty at first, and JSON never is
		m.last.json = json
		m.matched = m.selector.Matches(&m.last)
	}
	return m.matched
}

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
	return inventory.Unquote(value), ok
}
