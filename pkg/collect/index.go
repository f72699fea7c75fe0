package collect

import (
	"slices"
	"strings"

	"kollect.io/kollect/pkg/inventory"
)

// index holds what is known of a resource's objects: those that have a row, or
// a failure, of some target.
type index map[string]*partition

// partition holds the records of one namespace.
type partition struct {
	namespace string // that its rows share
	records   map[string]*record
}

// record is what is known of one object. The key that leads to it is the name
// in its first row, so that replaced rows are not kept by their names.
type record struct {
	version uint64 // newest that was evaluated for any target; 0 if unknown
	entries []entry
}

// entry is what one target has of an object. Entries are ordered by member.
type entry struct {
	spec *spec
	row  *inventory.Row // nil when there was never one, because of a failure
}

func (x index) get(namespace, name string) *record {
	if p := x[namespace]; p != nil {
		return p.records[name]
	}
	return nil
}

// forgetVersions makes the versions unknown of the records that were not listed.
func (p *partition) forgetVersions(listed map[*record]struct{}) {
	for _, rec := range p.records {
		if _, ok := listed[rec]; !ok {
			rec.version = 0
		}
	}
}

// first returns the record's first row, or nil.
func (rec *record) first() *inventory.Row {
	for _, e := range rec.entries {
		if e.row != nil {
			return e.row
		}
	}
	return nil
}

// set makes entries those of the record of the name, and rec that record. An
// empty record is dropped.
func (x index) set(namespace, name string, rec *record, entries []entry) {
	before, known := rec.first(), len(rec.entries) > 0
	if len(entries) == len(rec.entries) {
		copy(rec.entries, entries)
	} else {
		rec.entries = slices.Clone(entries)
	}
	after := rec.first()
	if known && len(entries) > 0 && before == after {
		return // the key is right
	}
	p := x[namespace]
	if p == nil {
		p = &partition{namespace: namespace, records: map[string]*record{}}
		x[namespace] = p
	}
	delete(p.records, name)
	switch {
	case len(entries) > 0 && after != nil:
		p.records[after.Name()] = rec
	case len(entries) > 0:
		p.records[strings.Clone(name)] = rec
	case len(p.records) == 0:
		delete(x, namespace)
	}
}

// placed is a row to put, and the version of the object that it was read from.
type placed struct {
	member  *member
	row     *inventory.Row
	version string
}

// change gathers what a change of the index means for the store. Rows are put
// before any is removed, so that none is missing meanwhile.
type change struct {
	put     []placed
	removed []placed
	// news are the members whose failures or number of rows changed.
	news map[*member]struct{}
}

func (c *change) remove(e entry) {
	if e.row != nil {
		c.removed = append(c.removed, placed{member: e.spec.member, row: e.row})
	}
}

// newsOf notes that there is news of m, if it changed.
func (c *change) newsOf(m *member, changed bool) {
	if changed {
		if c.news == nil {
			c.news = map[*member]struct{}{}
		}
		c.news[m] = struct{}{}
	}
}

// merger brings what was extracted into the index.
type merger struct {
	index  index
	change change
	// covers reports whether an object that was extracted without a row for
	// the member has none.
	covers func(m *member, ex *extracted) bool
	// fill leaves entries as they are and adds only those that are missing.
	fill    bool
	scratch []entry
}

// current reports whether what the spec found is what its target wants now.
func (f *found) current(ex *extracted) bool {
	m := f.spec.member
	return m.spec == f.spec && !m.gone.Load() && !m.frozen && m.scope.has(ex.namespace) && routed(m, ex)
}

// merge brings an object into the index; rec is its record, or nil. It returns
// the record.
func (g *merger) merge(rec *record, ex *extracted) *record {
	if rec == nil {
		rec = &record{}
	}
	out := g.scratch[:0]
	old, fresh := rec.entries, ex.found
	for len(old) > 0 || len(fresh) > 0 {
		switch {
		case len(fresh) == 0 || len(old) > 0 && old[0].spec.member.order < fresh[0].spec.member.order:
			if g.keeps(rec, old[0], ex) {
				out = append(out, old[0])
			}
			old = old[1:]
		case !fresh[0].current(ex):
			fresh = fresh[1:]
		case len(old) == 0 || fresh[0].spec.member.order < old[0].spec.member.order:
			out = append(out, g.place(rec, entry{}, &fresh[0], ex))
			fresh = fresh[1:]
		default:
			if g.fill {
				out = append(out, old[0])
			} else {
				out = append(out, g.place(rec, old[0], &fresh[0], ex))
			}
			old, fresh = old[1:], fresh[1:]
		}
	}
	g.index.set(ex.namespace, ex.name, rec, out)
	clear(out)
	g.scratch = out
	return rec
}

// keeps reports whether an entry stays whose member ex has no row for, and
// drops it otherwise.
func (g *merger) keeps(rec *record, e entry, ex *extracted) bool {
	m := e.spec.member
	if m.gone.Load() {
		return false // and the store has dropped its rows
	}
	if g.fill || m.frozen || !g.covers(m, ex) {
		return true
	}
	g.drop(rec, e)
	return false
}

func (g *merger) drop(rec *record, e entry) {
	g.change.remove(e)
	failed := e.spec.failures.clear(rec)
	g.change.newsOf(e.spec.member, failed || e.row != nil)
}

// place puts what was found in the place of before, which may be empty.
func (g *merger) place(rec *record, before entry, f *found, ex *extracted) entry {
	m := f.spec.member
	if before.spec != nil && before.spec.failures != f.spec.failures {
		g.change.newsOf(m, before.spec.failures.clear(rec))
	}
	g.change.newsOf(m, f.spec.failures.set(rec, ex, f.failures))
	row := f.row
	switch {
	case row == nil && before.row != nil && before.row.UID() == ex.uid && before.spec.failures == f.spec.failures:
		row = before.row // of the same object and revision: nothing else is known
	case row != nil && before.row != nil && row.Hash() == before.row.Hash():
		row = before.row // which the store has
	case row != nil:
		g.change.put = append(g.change.put, placed{m, row, ex.version})
		if before.row != nil && before.row.UID() != row.UID() {
			g.change.remove(before)
		}
	default:
		g.change.remove(before)
	}
	g.change.newsOf(m, (row == nil) != (before.row == nil))
	return entry{f.spec, row}
}

// filter keeps the entries of a partition for which keep returns true. What it
// drops leaves the store too, unless its target is gone from there.
func (g *merger) filter(p *partition, keep func(*record, entry) bool) {
	for key, rec := range p.records {
		if !slices.ContainsFunc(rec.entries, func(e entry) bool { return !keep(rec, e) }) {
			continue
		}
		out := g.scratch[:0]
		for _, e := range rec.entries {
			if keep(rec, e) {
				out = append(out, e)
			} else if !e.spec.member.gone.Load() {
				g.drop(rec, e)
			}
		}
		g.index.set(p.namespace, key, rec, out)
		clear(out)
		g.scratch = out
	}
}
