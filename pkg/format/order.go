package format

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// group is the rows that have the first two of the ordering columns in common.
type group struct {
	kind, namespace string
	size            int
	end             int // of what is dealt so far, in the order of all rows
}

// Ordered returns the entries in the order that Write has them.
func Ordered(snapshot *inventory.Snapshot) []*inventory.Entry { return ordered(snapshot) }

// ordered returns the snapshot's entries by kind, namespace, name, UID and
// target. Only names of one kind and namespace are compared with one another:
// the entries are dealt to their groups first.
func ordered(snapshot *inventory.Snapshot) []*inventory.Entry {
	groups, groupOf := grouped(snapshot)
	entries := make([]*inventory.Entry, snapshot.Len())
	i, largest := 0, 0
	for e := range snapshot.Entries() {
		g := groups[groupOf[i]]
		entries[g.end] = e
		g.end++
		i, largest = i+1, max(largest, g.size)
	}
	scratch := make([]named, 0, largest)
	for _, g := range groups {
		scratch = sortGroup(entries[g.end-g.size:g.end], scratch)
	}
	return entries
}

// grouped returns the groups, with their ends where they start, and the index
// of each entry's group.
func grouped(snapshot *inventory.Snapshot) (groups []*group, groupOf []int32) {
	type name struct{ kind, namespace string }
	byName := map[name]int32{}
	groupOf = make([]int32, 0, snapshot.Len())
	for e := range snapshot.Entries() {
		n := name{e.Row.Resource().Kind, e.Row.Namespace()}
		index, ok := byName[n]
		if !ok {
			index = int32(len(groups))
			byName[n] = index
			groups = append(groups, &group{kind: n.kind, namespace: n.namespace})
		}
		groups[index].size++
		groupOf = append(groupOf, index)
	}
	sorted := slices.SortedFunc(slices.Values(groups), func(a, b *group) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.namespace, b.namespace))
	})
	at := 0
	for _, g := range sorted {
		g.end = at
		at += g.size
	}
	return groups, groupOf
}

// named is an entry with a part of its name at hand.
type named struct {
	prefix uint64
	entry  *inventory.Entry
}

// sortGroup orders entries of one group in place and returns the scratch space.
// Names in a group tend to start alike, so the eight bytes after what they have
// in common decide most comparisons.
func sortGroup(entries []*inventory.Entry, scratch []named) []named {
	scratch = scratch[:0]
	common := commonPrefix(entries)
	for _, e := range entries {
		var prefix [8]byte
		copy(prefix[:], e.Row.Name()[common:])
		scratch = append(scratch, named{binary.BigEndian.Uint64(prefix[:]), e})
	}
	slices.SortFunc(scratch, func(a, b named) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return compareRows(a.entry, b.entry)
	})
	for i, n := range scratch {
		entries[i] = n.entry
	}
	return scratch
}

// commonPrefix returns how many bytes all names start with in common.
func commonPrefix(entries []*inventory.Entry) int {
	first := entries[0].Row.Name()
	n := len(first)
	for _, e := range entries[1:] {
		name := e.Row.Name()
		n = min(n, len(name))
		for name[:n] != first[:n] {
			n--
		}
	}
	return n
}

func compareRows(a, b *inventory.Entry) int {
	return cmp.Or(
		strings.Compare(a.Row.Name(), b.Row.Name()),
		strings.Compare(a.Row.UID(), b.Row.UID()),
		a.Row.Target().Compare(b.Row.Target()),
		a.Key.Compare(b.Key),
	)
}
