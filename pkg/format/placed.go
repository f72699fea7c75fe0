package format

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// placed is an entry with eight bytes at hand of what it is ordered by, since rows
// are slow to reach.
type placed struct {
	prefix uint64
	entry  *inventory.Entry
}

// place takes at hand what follows the bytes that the words of all begin with, and
// returns how many these are.
func place(entries []placed) (common int) {
	var r run
	for _, p := range entries {
		r.add(p.entry)
	}
	for i, p := range entries {
		entries[i].prefix = prefixFrom(words(p.entry), r.common)
	}
	return r.common
}

// sortPlaced orders entries whose words begin alike, up to the bytes at hand. These
// decide most comparisons; where they don't, those that follow are taken.
func sortPlaced(entries []placed) {
	const few = 16
	slices.SortFunc(entries, func(a, b placed) int { return cmp.Compare(a.prefix, b.prefix) })
	for len(entries) > 0 {
		n := 1
		for n < len(entries) && entries[n].prefix == entries[0].prefix {
			n++
		}
		alike := entries[:n]
		switch {
		case n > few && alike[0].prefix != 0: // which would be that of the end
			place(alike)
			sortPlaced(alike)
		case n > 1:
			slices.SortFunc(alike, comparePlaced)
		}
		entries = entries[n:]
	}
}

func comparePlaced(a, b placed) int {
	if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
		return c
	}
	return compareEntries(a.entry, b.entry)
}

// compareEntries looks no further than it must.
func compareEntries(a, b *inventory.Entry) int {
	x, y := words(a), words(b)
	for i := range x {
		if c := strings.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Or(strings.Compare(a.Row.UID(), b.Row.UID()), a.Row.Target().Compare(b.Row.Target()), a.Key.Compare(b.Key))
}

// words are what entries are ordered by first. None has a zero byte, so they are
// ordered as one string would be that has a zero byte after each of them.
func words(e *inventory.Entry) [3]string {
	return [...]string{e.Row.Resource().Kind, e.Row.Namespace(), e.Row.Name()}
}

// commonPrefix returns how many bytes the words begin with in common.
func commonPrefix(a, b *inventory.Entry) int {
	n := 0
	x, y := words(a), words(b)
	for i := range x {
		if x[i] != y[i] {
			return n + commonBytes(x[i], y[i])
		}
		n += len(x[i]) + 1
	}
	return n
}

func commonBytes(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// prefixFrom returns eight bytes of the words, as a number that orders as they do;
// it is 0 at their end.
func prefixFrom(words [3]string, at int) uint64 {
	var prefix [8]byte
	n := 0
	for _, word := range words {
		if at > len(word) {
			at -= len(word) + 1
			continue
		}
		if n += copy(prefix[n:], word[at:]) + 1; n >= len(prefix) {
			break
		}
		at = 0
	}
	return binary.BigEndian.Uint64(prefix[:])
}
