package inventory

import (
	"iter"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// scan yields rows in the order of namespace/name. It goes from one partition
// that the caller may list to the next.
func (k accessibleRows) scan(s *inventory.State, p place, from string) iter.Seq[accessibleRow] {
	return func(yield func(accessibleRow) bool) {
		for parts := range k.namespaces(s, p, from) {
			if !mergeParts(parts, yield) {
				return
			}
		}
	}
}

func (k accessibleRows) blocks(*inventory.State, place, string) iter.Seq[block[accessibleRow]] {
	return nil
}

// count is what is left from a key on. It does not look at rows.
func (k accessibleRows) count(s *inventory.State, p place, from string) int {
	n := 0
	for parts := range k.namespaces(s, p, from) {
		for i := range parts {
			n += parts[i].count()
		}
	}
	return n
}

// part has rows of one inventory in one partition, from a key on.
type part struct {
	*inventory.Part
	inventory *inventory.Inventory
	prefix    string         // of the names of its rows
	from      inventory.Key  // the first key
	only      *inventory.Key // the one that is wanted; nil: all
}

func (p *part) count() int {
	if p.only != nil {
		return 1
	}
	return p.Len() - p.Rank(p.from)
}

// namespaces yields the parts of the place that the caller may see, from a key
// on, those of each namespace together. They are valid until the next.
func (k accessibleRows) namespaces(s *inventory.State, p place, from string) iter.Seq[[]part] {
	return func(yield func([]part) bool) {
		start, name, _ := strings.Cut(from, "/")
		if p.namespace != "" {
			c := inventory.CompareNamespaces(start, p.namespace)
			if c > 0 {
				return
			}
			if c < 0 {
				start, name = p.namespace, ""
			}
		}
		if p.nowhere {
			return
		}
		var parts []part
		for at, partitions := range k.table.From(s, start) {
			if p.namespace != "" && at != p.namespace {
				return
			}
			if at != start {
				name = ""
			}
			if parts = appendParts(parts[:0], s, p, partitions, name); len(parts) > 0 && !yield(parts) {
				return
			}
		}
	}
}

// appendParts appends those parts of partitions that may have rows of the place
// from a name on.
func appendParts(parts []part, s *inventory.State, p place, partitions []inventory.Partition, name string) []part {
	for _, partition := range partitions {
		for found := range s.Parts(partition) {
			if p.inventory != "" && p.inventory != found.Inventory.Name {
				continue
			}
			next := part{Part: found, inventory: s.Snapshot(found.Inventory).Inventory(), prefix: found.Inventory.Name + "."}
			var ok bool
			if next.from, ok = firstNamed(next.prefix, name); !ok {
				continue
			}
			if p.key != nil {
				if _, has := found.Get(*p.key); !has || p.key.Compare(next.from) < 0 {
					continue
				}
				next.only = p.key
			}
			parts = append(parts, next)
		}
	}
	return parts
}

// firstNamed returns the first key whose text after the prefix is not before
// name, and false if there can't be one.
func firstNamed(prefix, name string) (inventory.Key, bool) {
	if name <= prefix {
		return inventory.Key{}, true
	}
	rest, within := strings.CutPrefix(name, prefix)
	if !within {
		return inventory.Key{}, false
	}
	return ceilKey(rest)
}

// mergeParts yields the rows of the parts in the order of their names. It reports
// whether more is wanted.
func mergeParts(parts []part, yield func(accessibleRow) bool) bool {
	heap := make(sources, 0, len(parts))
	for i := range parts {
		p := &parts[i]
		if p.only != nil {
			if e, ok := p.Get(*p.only); ok && !yield(accessibleRow{row{p.inventory, e}}) {
				return false
			}
			continue
		}
		s := source{part: p, rows: p.From(p.from)}
		if s.entry, _ = s.rows.Next(); s.entry != nil {
			heap = append(heap, s)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		heap.down(i)
	}
	for len(heap) > 0 {
		first := &heap[0]
		if !yield(accessibleRow{row{first.inventory, *first.entry}}) {
			return false
		}
		if next, ok := first.rows.Next(); ok {
			first.entry = next
		} else {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		heap.down(0)
	}
	return true
}

// source is a part and the first of its rows that was not yielded.
type source struct {
	*part
	rows  *inventory.Walk
	entry *inventory.Entry
}

// less orders by name, and rows of one name, which no two have, by inventory.
func (s *source) less(other *source) bool {
	switch {
	case s.prefix == other.prefix:
		if c := s.entry.Key.Compare(other.entry.Key); c != 0 {
			return c < 0
		}
		return s.inventory.Namespace < other.inventory.Namespace
	case strings.HasPrefix(s.prefix, other.prefix), strings.HasPrefix(other.prefix, s.prefix):
		return s.prefix+s.entry.Key.String() < other.prefix+other.entry.Key.String()
	}
	return s.prefix < other.prefix
}

// sources are a heap.
type sources []source

func (h sources) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].less(&h[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}
