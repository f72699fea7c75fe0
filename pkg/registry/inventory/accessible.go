package inventory

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/registry/access"
)

// accessibleRow is a row in the namespace of its source.
type accessibleRow struct{ row }

func (r accessibleRow) key() string { return objectKey(r.Row.Namespace(), r.name()) }

func (r accessibleRow) meta() metav1.ObjectMeta {
	meta := r.row.meta()
	meta.Namespace = r.Row.Namespace()
	return meta
}

func (r accessibleRow) typed() runtime.Object {
	object := r.object()
	return &object
}

func (r accessibleRow) object() inventoryv1alpha1.AccessibleRow {
	return inventoryv1alpha1.AccessibleRow{ObjectMeta: r.meta(), InventoryNamespace: r.inventory.Namespace, RowContent: r.content()}
}

// accessibleRows are the rows of all inventories whose source objects one caller
// may list, in the namespaces of the sources. Nothing else is looked at: neither
// the objects nor the time that it takes to find them tell of other rows.
type accessibleRows struct{ table *access.Table }

var _ kind[accessibleRow] = accessibleRows{}

func (k accessibleRows) names() names {
	return names{inventory.Namespaced, "AccessibleRow", "accessiblerows", "accessiblerow", "arow", nil}
}

func (k accessibleRows) newObject() runtime.Object { return &inventoryv1alpha1.AccessibleRow{} }
func (k accessibleRows) newList() runtime.Object   { return &inventoryv1alpha1.AccessibleRowList{} }

func (k accessibleRows) typedList(meta metav1.ListMeta, objects iter.Seq[accessibleRow]) runtime.Object {
	list := &inventoryv1alpha1.AccessibleRowList{ListMeta: meta, Items: []inventoryv1alpha1.AccessibleRow{}}
	for r := range objects {
		list.Items = append(list.Items, r.object())
	}
	return list
}

// place has the namespace of sources.
func (k accessibleRows) place(s *selection) place {
	p := newPlace(s)
	if selected := s.exact(string(inventory.FieldNamespace)); selected != "" {
		p.nowhere = p.nowhere || p.namespace != "" && p.namespace != selected
		p.namespace = selected
	}
	p.narrow(s)
	return p
}

// check takes all: a field that no row has tells as little as one that only rows
// have that are hidden.
func (k accessibleRows) check(*inventory.State, *selection, place) error { return nil }

func (k accessibleRows) change(e *inventory.Event) (before, after accessibleRow, was, is bool) {
	before, after = accessibleRow{row{e.Inventory, e.Before}}, accessibleRow{row{e.Inventory, e.After}}
	before.Version = e.Version
	return before, after, before.Row != nil, after.Row != nil
}

// shape is that of no inventory: which there are, and what columns they have,
// may be hidden from the caller.
func (k accessibleRows) shape(*inventory.State, place) *shape { return nil }

// staleness tells nothing of inventories either.
func (k accessibleRows) staleness(*inventory.State, place) string { return "" }

func (k accessibleRows) matcher(s *selection) func(accessibleRow) bool {
	p := k.place(s)
	labels, fields := &labelMatcher{selector: s.label}, &accessibleFields{}
	return func(r accessibleRow) bool {
		if !k.table.Allows(r.Row.Partition()) || !p.hasAccessible(r) {
			return false
		}
		if !labels.matches(r.Row.Labels()) {
			return false
		}
		if s.field != nil {
			if fields.row = r.row; !s.field.Matches(fields) {
				return false
			}
		}
		return true
	}
}

func (p *place) hasAccessible(r accessibleRow) bool {
	return !p.nowhere && (p.namespace == "" || p.namespace == r.Row.Namespace()) &&
		(p.inventory == "" || p.inventory == r.inventory.Name) && (p.key == nil || *p.key == r.Key)
}

// accessibleFields reads the fields of a row in the namespace of its source.
type accessibleFields struct{ rowFields }

var _ fields.Fields = &accessibleFields{}

func (f *accessibleFields) Has(field string) bool { return f.Get(field) != "" }

func (f *accessibleFields) Get(field string) string {
	switch field {
	case fieldNamespace:
		return f.row.Row.Namespace()
	case fieldInventoryNamespace:
		return f.row.inventory.Namespace
	}
	return f.rowFields.Get(field)
}

func (k accessibleRows) columns(*shape) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: nameDescription},
		{Name: "Kind", Type: "string", Description: "Kind of the source object."},
		{Name: "Source", Type: "string", Description: "Name of the source object."},
		{Name: "Inventory", Type: "string", Description: "Inventory that the row belongs to."},
		{Name: "Target", Type: "string", Description: "Target that collected the row."},
		{Name: "Age", Type: "string", Description: ageDescription},
		{Name: "Attributes", Type: "string", Priority: 1, Description: "The extracted values as JSON."},
		{Name: "UID", Type: "string", Priority: 1, Description: "UID of the source object."},
		{Name: "Cluster", Type: "string", Priority: 1, Description: "Cluster of the source object."},
	}
}
