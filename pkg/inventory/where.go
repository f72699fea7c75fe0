package inventory

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"
)

// Where yields the entries from a key on whose rows meet all requirements, in the
// order of keys. Of each requirement that is an equality and of a field of all
// rows or of a promoted attribute it reads only the rows that meet it: the costs
// are O(rows log n) of the one that the fewest rows meet. Other requirements are
// asked of what is left, which is all rows if there is nothing else, or the
// requirement is that an attribute be empty.
func (s *Snapshot) Where(requirements []Requirement, from Key) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		if len(requirements) == 0 {
			s.root.ascend(0, from, yield)
			return
		}
		selected := func(e Entry) bool { return !e.Row.meets(requirements) || yield(e) }
		ranges, some := s.index.ranges(requirements)
		switch {
		case !some:
		case len(ranges) == 0:
			s.root.ascend(0, from, selected)
		default:
			s.index.intersect(s.root, ranges, from, selected)
		}
	}
}

// valueRange has the numbers of a value, or of several, in an index.
type valueRange []cursor

// seek returns the first prefix that is not less than from, and false if there
// is none.
func (r valueRange) seek(from uint32) (prefix uint32, ok bool) {
	for i := range r {
		c := &r[i]
		if c.done || !c.seek(c.end&^prefixMask|uint64(from)) {
			continue
		}
		if at := uint32(c.leaf[0] & prefixMask); !ok || at < prefix {
			prefix, ok = at, true
		}
	}
	return prefix, ok
}

// prefixMask is where a number has the start of a key.
const prefixMask = 1<<32 - 1

// ranges returns where the rows are that can meet the requirements: in each of
// the ranges. It reports whether there can be any.
func (x *index) ranges(requirements []Requirement) (ranges []valueRange, some bool) {
	if x == nil {
		return nil, true
	}
	for _, q := range requirements {
		set := -1
		switch q.Field {
		case FieldNamespace:
			set = setNamespace
		case FieldName:
			set = setName
		case FieldUID:
			set = setUID
		case FieldTarget:
			set = setTarget
		default:
			if name, ok := q.Field.Attribute(); ok && q.Value != "" {
				if at, found := x.column(name); found {
					set = at
				}
			}
		}
		if set >= 0 && !q.Not {
			ranges = append(ranges, valueRange{x.rangeOf(set, x.digest(q.Value))})
		}
	}
	if !slices.ContainsFunc(requirements, Requirement.ofResource) {
		return ranges, true
	}
	kinds, all := x.kinds(requirements)
	if !all {
		ranges = append(ranges, kinds)
	}
	return ranges, len(kinds) > 0
}

// ofResource reports whether few resources meet the requirement.
func (q Requirement) ofResource() bool {
	return !q.Not && (q.Field == FieldGroup || q.Field == FieldKind || q.Field == FieldResource)
}

func (x *index) rangeOf(set int, digest uint64) cursor {
	return cursor{set: x.sets[set], end: digest | prefixMask}
}

// kinds returns the range of the resources that meet the requirements, and
// whether those are all, so that it says nothing.
func (x *index) kinds(requirements []Requirement) (kinds valueRange, all bool) {
	all = true
	for _, r := range x.resources {
		if r.meets(requirements) {
			kinds = append(kinds, x.rangeOf(setResource, x.resource(r)))
		} else {
			all = false
		}
	}
	return kinds, all
}

// meets reports whether rows of the resource can meet all requirements.
func (r resourceKind) meets(requirements []Requirement) bool {
	for _, q := range requirements {
		var value string
		switch q.Field {
		case FieldGroup:
			value = r.group
		case FieldKind:
			value = r.kind
		case FieldResource:
			value = r.resource
		default:
			continue
		}
		if (value == q.Value) == q.Not {
			return false
		}
	}
	return true
}

// intersect yields the entries of root from a key on whose keys start as those
// that all ranges have.
func (x *index) intersect(root *node, ranges []valueRange, from Key, yield func(Entry) bool) {
	finder := finder{root: root, digester: &x.digester}
	for prefix, more := x.prefix(&from), true; more; {
		agreed := 0
		for i := 0; agreed < len(ranges); i = (i + 1) % len(ranges) {
			next, ok := ranges[i].seek(prefix)
			if !ok {
				return
			}
			if next > prefix {
				prefix, agreed = next, 0
			}
			agreed++
		}
		more = finder.rows(prefix, from, yield) && prefix < prefixMask
		prefix++
	}
}

// finder finds rows by the starts of their keys, which rise.
type finder struct {
	*digester
	root *node
	path []*node // of the last that was found, from the root on
	last uint32
}

// rows yields the entries from a key on whose keys start with prefix, until yield
// returns false. It reports whether it came to the end.
func (f *finder) rows(prefix uint32, from Key, yield func(Entry) bool) bool {
	if len(f.path) == 0 {
		f.path = append(f.path, f.root)
	}
	same := bits.LeadingZeros32(prefix^f.last) / digitBits
	f.path, f.last = f.path[:min(len(f.path), same+1)], prefix
	depth := len(f.path) - 1
	n := f.path[depth]
	for n != nil && n.branch != nil && (depth+1)*digitBits <= f.prefixBits {
		n = n.branch.child[prefix>>(32-digitBits-depth*digitBits)&(fanout-1)]
		f.path = append(f.path, n)
		depth++
	}
	var first Key
	binary.BigEndian.PutUint32(first[:], prefix)
	if from.Compare(first) > 0 {
		first = from
	}
	more := true
	n.ascend(depth, first, func(e Entry) bool {
		if f.prefix(&e.Key) != prefix {
			return false
		}
		more = yield(e)
		return more
	})
	return more
}
