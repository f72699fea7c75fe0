package inventory

import "iter"

const (
	// aheadRows is how many rows are read ahead, and aheadBytes how much of each at
	// most: the first cache holds that, and what is made of it.
	aheadRows  = 32
	aheadBytes = 512
	cacheLine  = 64
)

// Ahead yields the updates, in their order, with the rows of the next ones in the
// processor's cache: they lie anywhere in memory, and a short loop waits for many of
// them at once. It is for who makes something of all of them.
func Ahead(updates iter.Seq[Update]) iter.Seq[Update] {
	return func(yield func(Update) bool) {
		var next []Update
		for u := range updates {
			if next = append(next, u); len(next) < aheadRows {
				continue
			}
			if !yieldAll(next, yield) {
				return
			}
			next = next[:0]
		}
		yieldAll(next, yield)
	}
}

func yieldAll(updates []Update, yield func(Update) bool) bool {
	if len(updates) > 1 {
		readRows(updates)
	}
	for _, u := range updates {
		if !yield(u) {
			return false
		}
	}
	return true
}

// readRows reads all rows, and then what they refer to: neither loop waits for what
// it has just read. The result is of no use but that there is one.
//
//go:noinline
func readRows(updates []Update) (sum int) {
	for i := range updates {
		if row := updates[i].Row; row != nil {
			sum += len(row.data) + int(row.hash[len(row.hash)-1])
		}
	}
	for i := range updates {
		if row := updates[i].Row; row != nil {
			for at := 0; at < min(len(row.data), aheadBytes); at += cacheLine {
				sum += int(row.data[at])
			}
		}
	}
	return sum
}
