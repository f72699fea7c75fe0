package inventory

import (
	"iter"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// row is a row in its inventory.
type row struct {
	inventory *inventory.Inventory
	inventory.Entry
}

// rows are the rows of the inventories of a scope.
type rows struct{ scope inventory.Scope }

var _ kind[row] = rows{}

func (k rows) names() names {
	if k.scope == inventory.Cluster {
		return names{inventory.Cluster, "ClusterInventoryRow", "clusterinventoryrows", "clusterinventoryrow", "cinvrow", nil}
	}
	return names{inventory.Namespaced, "InventoryRow", "inventoryrows", "inventoryrow", "invrow", nil}
}

func (k rows) newObject() runtime.Object {
	if k.scope == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventoryRow{}
	}
	return &inventoryv1alpha1.InventoryRow{}
}

func (k rows) newList() runtime.Object {
	if k.scope == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventoryRowList{}
	}
	return &inventoryv1alpha1.InventoryRowList{}
}

func (k rows) typedList(meta metav1.ListMeta, objects iter.Seq[row]) runtime.Object {
	if k.scope == inventory.Cluster {
		list := &inventoryv1alpha1.ClusterInventoryRowList{ListMeta: meta, Items: []inventoryv1alpha1.ClusterInventoryRow{}}
		for r := range objects {
			list.Items = append(list.Items, inventoryv1alpha1.ClusterInventoryRow{ObjectMeta: r.meta(), RowContent: r.content()})
		}
		return list
	}
	list := &inventoryv1alpha1.InventoryRowList{ListMeta: meta, Items: []inventoryv1alpha1.InventoryRow{}}
	for r := range objects {
		list.Items = append(list.Items, inventoryv1alpha1.InventoryRow{ObjectMeta: r.meta(), RowContent: r.content()})
	}
	return list
}

func (k rows) place(s *selection) place {
	p := newPlace(s)
	p.content = s.content()
	p.narrow(s)
	return p
}

func (k rows) check(s *inventory.State, selected *selection, p place) error {
	return selected.check(s, k.scope, p)
}

func (k rows) change(e *inventory.Event) (before, after row, was, is bool) {
	if e.Inventory.Scope() != k.scope {
		return before, after, false, false
	}
	before, after = row{e.Inventory, e.Before}, row{e.Inventory, e.After}
	before.Version = e.Version
	return before, after, before.Row != nil, after.Row != nil
}

func (k rows) matcher(s *selection) func(row) bool {
	p := k.place(s)
	labels, fields := &labelMatcher{selector: s.label}, &rowFields{}
	return func(r row) bool {
		if !p.has(r.inventory.Ref) || p.key != nil && *p.key != r.Key {
			return false
		}
		if !labels.matches(r.Row.Labels()) {
			return false
		}
		if s.field != nil {
			if fields.row = r; !s.field.Matches(fields) {
				return false
			}
		}
		return true
	}
}

// rowFields reads the fields of a row.
type rowFields struct{ row row }

var _ fields.Fields = &rowFields{}

func (f *rowFields) Has(field string) bool { return f.Get(field) != "" }

func (f *rowFields) Get(field string) string {
	switch field {
	case fieldName:
		return f.row.name()
	case fieldNamespace:
		return f.row.inventory.Namespace
	case fieldInventory:
		return f.row.inventory.Name
	}
	return f.row.Row.Value(inventory.Field(field))
}
