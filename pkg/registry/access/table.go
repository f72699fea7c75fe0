package access

import (
	"iter"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kollect.io/kollect/pkg/inventory"
)

// Table says which partitions one caller may list. **A Table never changes.**
type Table struct {
	since  uint64 // version of the store
	number uint64 // of the last partition that was asked about

	checked time.Time // all answers are of later

	// wide has the resources that were asked about in all namespaces at once.
	wide map[schema.GroupResource]bool
	// allowed are the partitions of other resources, ordered; some may have no
	// rows any more, which those who read history still ask about.
	allowed []inventory.Partition
	// absent is when those were first found without rows.
	absent map[inventory.Partition]time.Time
	// position is the partition up to which denials were asked about again.
	position inventory.Partition
}

// Since is the store's version at which the caller's rights were last found to
// have changed. What was read of an older version was read with other rights.
func (t *Table) Since() uint64 { return t.since }

// Allows reports whether the caller may list the partition. It may not list one
// that has no namespace.
func (t *Table) Allows(p inventory.Partition) bool {
	if p.Namespace == "" {
		return false
	}
	if t.wide[resourceOf(p)] {
		return true
	}
	_, found := slices.BinarySearchFunc(t.allowed, p, inventory.Partition.Compare)
	return found
}

func resourceOf(p inventory.Partition) schema.GroupResource {
	return schema.GroupResource{Group: p.Group, Resource: p.Resource}
}

// From yields the partitions that the caller may list, by namespace, from a
// namespace on, as namespace/name is ordered. It does not look at others, and may
// yield some that have no rows. The partitions are valid until the next.
func (t *Table) From(s *inventory.State, namespace string) iter.Seq2[string, []inventory.Partition] {
	return func(yield func(string, []inventory.Partition) bool) {
		var wide []inventory.Partition // the next of each resource
		for resource, allowed := range t.wide {
			if !allowed {
				continue
			}
			if p, ok := s.PartitionFrom(resource.Group, resource.Resource, namespace); ok {
				wide = append(wide, p)
			}
		}
		i, _ := slices.BinarySearchFunc(t.allowed, inventory.Partition{Namespace: namespace}, inventory.Partition.Compare)
		single := t.allowed[i:]
		var partitions []inventory.Partition
		for len(wide) > 0 || len(single) > 0 {
			at := firstNamespace(wide, single)
			partitions, single = takeSingle(partitions[:0], single, at)
			partitions, wide = takeWide(s, partitions, wide, at)
			if !yield(at, partitions) {
				return
			}
		}
	}
}

func firstNamespace(wide, single []inventory.Partition) string {
	first := ""
	if len(single) > 0 {
		first = single[0].Namespace
	}
	for _, p := range wide {
		if first == "" || inventory.CompareNamespaces(p.Namespace, first) < 0 {
			first = p.Namespace
		}
	}
	return first
}

// takeSingle moves the partitions of the namespace, which are the first.
func takeSingle(taken, single []inventory.Partition, namespace string) (_, rest []inventory.Partition) {
	for len(single) > 0 && single[0].Namespace == namespace {
		taken, single = append(taken, single[0]), single[1:]
	}
	return taken, single
}

// takeWide moves the partitions of the namespace, and puts the next of their
// resources in their place.
func takeWide(s *inventory.State, taken, wide []inventory.Partition, namespace string) (_, rest []inventory.Partition) {
	rest = wide[:0]
	for _, p := range wide {
		if p.Namespace == namespace {
			taken = append(taken, p)
			next, ok := s.NextPartition(p)
			if !ok || resourceOf(next) != resourceOf(p) {
				continue
			}
			p = next
		}
		rest = append(rest, p)
	}
	return taken, rest
}
