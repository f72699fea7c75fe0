package format

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// group is what the first two of the ordering columns have in common.
type group struct{ kind, namespace string }

// named is an entry with a part of its name at hand.
type named struct {
	prefix uint64
	entry  *inventory.Entry
}

// ordered returns the snapshot's entries by kind, namespace, name, UID and
// target. Only names of one kind and namespace are compared with one another:
// the entries are dealt to their groups first.
func ordered(snapshot *inventory.Snapshot) []*inventory.Entry {
	next, largest := places(snapshot)
	entries := make([]*inventory.Entry, snapshot.Len())
	starts := make(map[group]int, len(next))
	for g, at := range next {
		starts[g] = at
	}
	for e := range snapshot.Entries() {
		g := group{e.Row.Resource().Kind, e.Row.Namespace()}
		entries[next[g]] = e
		next[g]++
	}
	scratch := make([]named, 0, largest)
	for g, start := range starts {
		scratch = sortGroup(entries[start:next[g]], scratch)
	}
	return entries
}

// places returns where the entries of each group start, and the largest size
// of a group.
func places(snapshot *inventory.Snapshot) (starts map[group]int, largest int) {
	starts = map[group]int{}
	for e := range snapshot.Entries() {
		starts[group{e.Row.Resource().Kind, e.Row.Namespace()}]++
	}
	groups := make([]group, 0, len(starts))
	for g := range starts {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.namespace, b.namespace))
	})
	at := 0
	for _, g := range groups {
		size := starts[g]
		starts[g] = at
		at += size
		largest = max(largest, size)
	}
	return starts, largest
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
