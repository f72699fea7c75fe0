package inventory

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// head is a snapshot without its rows.
type head struct {
	inventory *inventory.Inventory
	*inventory.Head
	version uint64
}

// heads are the inventories of a scope.
type heads struct{ scope inventory.Scope }

var _ kind[head] = heads{}

func (k heads) names() names {
	if k.scope == inventory.Cluster {
		return names{inventory.Cluster, "ClusterInventory", "clusterinventories", "clusterinventory", "cinv", []string{"kollect"}}
	}
	return names{inventory.Namespaced, "Inventory", "inventories", "inventory", "inv", []string{"kollect"}}
}

func (k heads) newObject() runtime.Object {
	if k.scope == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventory{}
	}
	return &inventoryv1alpha1.Inventory{}
}

func (k heads) newList() runtime.Object {
	if k.scope == inventory.Cluster {
		return &inventoryv1alpha1.ClusterInventoryList{}
	}
	return &inventoryv1alpha1.InventoryList{}
}

func (k heads) typedList(meta metav1.ListMeta, objects iter.Seq[head]) runtime.Object {
	if k.scope == inventory.Cluster {
		list := &inventoryv1alpha1.ClusterInventoryList{ListMeta: meta, Items: []inventoryv1alpha1.ClusterInventory{}}
		for h := range objects {
			list.Items = append(list.Items, inventoryv1alpha1.ClusterInventory{ObjectMeta: h.meta(), Status: h.status()})
		}
		return list
	}
	list := &inventoryv1alpha1.InventoryList{ListMeta: meta, Items: []inventoryv1alpha1.Inventory{}}
	for h := range objects {
		list.Items = append(list.Items, inventoryv1alpha1.Inventory{ObjectMeta: h.meta(), Status: h.status()})
	}
	return list
}

func (k heads) place(s *selection) place {
	p := newPlace(s)
	if s.name != "" {
		p.within(s.name)
	}
	return p
}

// scan looks at all heads of the place's scope: there are few of them, and
// their order is not that of snapshots, which goes by the keys of rows.
func (k heads) scan(s *inventory.State, p place, from string) iter.Seq[head] {
	return func(yield func(head) bool) {
		for _, h := range k.sorted(s, p, from) {
			if !yield(h) {
				return
			}
		}
	}
}

func (k heads) blocks(*inventory.State, place, string) iter.Seq[block[head]] { return nil }

func (k heads) count(s *inventory.State, p place, from string) int { return len(k.sorted(s, p, from)) }

func (k heads) sorted(s *inventory.State, p place, from string) []head {
	var sorted []head
	for snapshot := range s.Snapshots(k.scope, p.namespace) {
		if snapshot.Head().Version == 0 { // it was about to come
			continue
		}
		h := newHead(snapshot)
		if p.has(h.inventory.Ref) && (from == "" || h.key() >= from) {
			sorted = append(sorted, h)
		}
	}
	slices.SortFunc(sorted, func(a, b head) int {
		return cmp.Or(
			strings.Compare(a.inventory.Namespace+"/", b.inventory.Namespace+"/"),
			strings.Compare(a.inventory.Name, b.inventory.Name),
		)
	})
	return sorted
}

func newHead(s *inventory.Snapshot) head { return head{s.Inventory(), s.Head(), s.Head().Version} }

func (k heads) check(*inventory.State, *selection, place) error { return nil }

func (k heads) change(e *inventory.Event) (before, after head, was, is bool) {
	if e.Inventory.Scope() != k.scope {
		return before, after, false, false
	}
	before, after = head{e.Inventory, e.HeadBefore, e.Version}, head{e.Inventory, e.HeadAfter, e.Version}
	return before, after, before.Head != nil, after.Head != nil
}

func (k heads) shape(*inventory.State, place) *shape { return nil }

func (h head) fields() fields.Set {
	return fields.Set{fieldName: h.inventory.Name, fieldNamespace: h.inventory.Namespace}
}

func (k heads) matcher(s *selection) func(head) bool {
	p := k.place(s)
	return func(h head) bool {
		return p.has(h.inventory.Ref) &&
			(s.label == nil || s.label.Matches(labels.Set(nil))) &&
			(s.field == nil || s.field.Matches(h.fields()))
	}
}
