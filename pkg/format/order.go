package format

import (
	"iter"
	"slices"
	"sort"

	"kollect.io/kollect/pkg/inventory"
)

const (
	// runRows is about how many entries a run has, which are held while they are
	// written, and a row group of Parquet. Readers want no smaller ones.
	runRows = 60_000
	// maxRuns bounds how often all entries are looked at, and fits in a byte.
	maxRuns = 128
	// sampled is how many entries a run tell where runs begin.
	sampled = 128
)

// order is how a snapshot's entries are ordered: by kind, namespace, name, UID and
// target. It is cut into runs that are ordered one by one, so that no more than a
// byte is held for an entry of another. It is safe for concurrent use.
type order struct {
	snapshot *inventory.Snapshot
	runs     []run
	runOf    []byte // of each entry of the snapshot
}

// run is a part of an order.
type run struct {
	size int
	// common is how many bytes the words of all its entries, and so of any, begin
	// with in common.
	common int
	any    *inventory.Entry
}

func (r *run) add(e *inventory.Entry) {
	if r.size++; r.any == nil {
		r.any, r.common = e, commonPrefix(e, e)
	}
	r.common = min(r.common, commonPrefix(r.any, e))
}

// Ordered returns the entries in the order that Write has them.
func Ordered(snapshot *inventory.Snapshot) []*inventory.Entry {
	return slices.AppendSeq(make([]*inventory.Entry, 0, snapshot.Len()), orderOf(snapshot).all)
}

func orderOf(snapshot *inventory.Snapshot) *order { return newOrder(snapshot, runRows) }

func newOrder(snapshot *inventory.Snapshot, runRows int) *order {
	o := &order{
		snapshot: snapshot,
		runs:     make([]run, min((snapshot.Len()+runRows-1)/runRows, maxRuns)),
		runOf:    make([]byte, 0, snapshot.Len()),
	}
	cuts := cutsOf(snapshot, len(o.runs))
	for some := range fetched(snapshot.Entries()) {
		for _, e := range some {
			i := cuts.before(e)
			o.runs[i].add(e)
			o.runOf = append(o.runOf, byte(i))
		}
	}
	return o
}

// all yields all entries in order.
func (o *order) all(yield func(*inventory.Entry) bool) {
	var scratch []placed
	for i := range o.runs {
		for e := range o.run(i, &scratch) {
			if !yield(e) {
				return
			}
		}
	}
}

// run yields the i-th run's entries in order. The scratch space may be used for the
// next then.
func (o *order) run(i int, scratch *[]placed) iter.Seq[*inventory.Entry] {
	return func(yield func(*inventory.Entry) bool) {
		r := o.runs[i]
		sorted := slices.Grow((*scratch)[:0], r.size)
		for some := range fetched(o.entriesOf(byte(i))) {
			for _, e := range some {
				sorted = append(sorted, placed{prefixFrom(words(e), r.common), e})
			}
		}
		*scratch = sorted
		sortPlaced(sorted)
		for _, p := range sorted {
			if !yield(p.entry) {
				return
			}
		}
	}
}

// entriesOf yields the entries of a run in the order of their keys.
func (o *order) entriesOf(run byte) iter.Seq[*inventory.Entry] {
	return func(yield func(*inventory.Entry) bool) {
		i := 0
		for e := range o.snapshot.Entries() {
			if o.runOf[i] == run && !yield(e) {
				return
			}
			i++
		}
	}
}

// cuts are where an order is cut into runs: before these entries, whose words begin
// with so many bytes in common.
type cuts struct {
	entries []placed
	common  int
}

// cutsOf returns the cuts between runs of much the same size. The first entries of a
// snapshot are a sample of all, since keys are digests.
func cutsOf(snapshot *inventory.Snapshot, runs int) cuts {
	if runs < 2 {
		return cuts{}
	}
	sample := make([]*inventory.Entry, 0, sampled*runs)
	for e := range snapshot.Entries() {
		if sample = append(sample, e); len(sample) == cap(sample) {
			break
		}
	}
	slices.SortFunc(sample, compareEntries)
	var c cuts
	for i := 1; i < runs; i++ {
		c.entries = append(c.entries, placed{entry: sample[i*len(sample)/runs]})
	}
	c.common = place(c.entries)
	return c
}

// before returns how many cuts are before the entry, or at it.
func (c cuts) before(e *inventory.Entry) int {
	if len(c.entries) == 0 {
		return 0
	}
	p := placed{entry: e}
	if commonPrefix(e, c.entries[0].entry) >= c.common {
		p.prefix = prefixFrom(words(e), c.common)
		return sort.Search(len(c.entries), func(i int) bool { return comparePlaced(p, c.entries[i]) < 0 })
	}
	if compareEntries(e, c.entries[0].entry) < 0 {
		return 0
	}
	return len(c.entries)
}
