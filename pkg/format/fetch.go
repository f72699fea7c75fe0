package format

import (
	"iter"

	"kollect.io/kollect/pkg/inventory"
)

// batchRows are looked at together: as many as stay in a processor's cache.
const batchRows = 256

// fetched yields entries, some at a time, with their rows in the processor's cache.
func fetched(entries iter.Seq[*inventory.Entry]) iter.Seq[[]*inventory.Entry] {
	return func(yield func([]*inventory.Entry) bool) {
		some := make([]*inventory.Entry, 0, batchRows)
		for e := range entries {
			if some = append(some, e); len(some) < cap(some) {
				continue
			}
			if fetch(some); !yield(some) {
				return
			}
			some = some[:0]
		}
		if fetch(some); len(some) > 0 {
			yield(some)
		}
	}
}

// fetch brings the rows, which lie anywhere, into the processor's cache: a short
// loop waits for many of them at once. The result is of no use but that there is one.
//
//go:noinline
func fetch(entries []*inventory.Entry) (sum byte) {
	for _, e := range entries {
		sum += e.Row.Labels()[0] + e.Row.Attributes()[0]
	}
	return sum
}
