package inventory

import (
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
)

// index finds the rows of an inventory by the values of fields. **An index never
// changes.** For each field it is a set with one number for each row: a digest of
// the value and, below that, the start of the row's key. So the rows of a value
// are found in the order of keys, and as two values may share a digest, and two
// keys their start, what is found must be looked at. Attributes that a row lacks,
// or that are empty, have no number.
type index struct {
	digester
	columns   []Column       // whose attributes are indexed
	resources []resourceKind // of all rows, ordered; there may be more
	sets      []*items       // of the fixed fields and then of the columns
}

// The sets of the fields that all rows have.
const (
	setNamespace = iota
	setName
	setUID
	setTarget
	setResource // of group, kind and resource together
	fixedSets
)

// newIndex returns the index of no rows.
func newIndex(d digester) *index { return &index{digester: d, sets: make([]*items, fixedSets)} }

// digester makes the numbers of an index. Nobody outside can know which values
// share a digest.
type digester struct {
	seed       maphash.Seed
	digestMask uint64 // of the bits of a digest that are used
	prefixBits int    // how many bits of a key are used
}

func newDigester() digester {
	return digester{seed: maphash.MakeSeed(), digestMask: 1<<32 - 1, prefixBits: 32}
}

// digest returns the number of a value and the first key.
func (d *digester) digest(value string) uint64 {
	return maphash.String(d.seed, value) & d.digestMask << 32
}

// prefix returns the start of a key.
func (d *digester) prefix(key *Key) uint32 {
	return binary.BigEndian.Uint32(key[:]) &^ (1<<(32-d.prefixBits) - 1)
}

// resourceKind is the part of a Resource that fields select by.
type resourceKind struct{ group, kind, resource string }

func (r *Resource) resourceKind() resourceKind { return resourceKind{r.Group, r.Kind, r.Resource} }

func (r resourceKind) compare(other resourceKind) int {
	return cmp.Or(strings.Compare(r.group, other.group), strings.Compare(r.kind, other.kind), strings.Compare(r.resource, other.resource))
}

func (d *digester) resource(r resourceKind) uint64 {
	var scratch [256]byte
	buf := scratch[:0]
	for _, part := range [...]string{r.group, r.kind, r.resource} {
		buf = appendPart(buf, part)
	}
	return maphash.Bytes(d.seed, buf) & d.digestMask << 32
}

// column returns the set of an attribute.
func (x *index) column(name string) (set int, found bool) {
	i, found := slices.BinarySearchFunc(x.columns, name, func(c Column, name string) int { return strings.Compare(c.Name, name) })
	return fixedSets + i, found
}

// concerns reports whether an event, which is of a row, may change the index.
func (x *index) concerns(e Event) bool {
	before, after := e.Before.Row, e.After.Row
	if before == nil || after == nil || len(x.columns) > 0 && before.Attributes() != after.Attributes() {
		return true
	}
	for set := range fixedSets {
		if !sameFixed(set, before, after) {
			return true
		}
	}
	return false
}

// sameFixed reports whether two rows have the same value of a fixed field.
func sameFixed(set int, a, b *Row) bool {
	switch set {
	case setNamespace:
		return a.namespace == b.namespace
	case setName:
		return a.Name() == b.Name()
	case setUID:
		return a.UID() == b.UID()
	case setTarget:
		return a.target == b.target || *a.target == *b.target
	default:
		return a.resource == b.resource || a.resource.resourceKind() == b.resource.resourceKind()
	}
}
