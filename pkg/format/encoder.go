package format

import (
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// encoders is how many row groups are encoded at a time, and held in memory.
const encoders = 2

// encoder encodes every so many-th run of an order, as a row group that is then to
// be committed.
type encoder struct {
	order   *order
	names   []string // of columns
	group   *parquet.ConcurrentRowGroupWriter
	batch   *batch
	scratch []placed

	// encoded says that the group is to be committed, or what is wrong, and
	// committed that it may be filled again.
	encoded   chan error
	committed chan struct{}
}

// encodeAll starts encoders, of which the i-th of n has each run i, i+n and so on.
// stop ends them, and is to be called in any case.
func encodeAll(o *order, of *inventory.Inventory, options Options, begin func() *parquet.ConcurrentRowGroupWriter) (all []*encoder, stop func()) {
	var running sync.WaitGroup
	stopped := make(chan struct{})
	all = make([]*encoder, min(encoders, len(o.runs)))
	for i := range all {
		e := &encoder{
			order: o, group: begin(), batch: newBatch(of, options),
			encoded: make(chan error, 1), committed: make(chan struct{}, 1),
		}
		for _, c := range columnsOf(of) {
			e.names = append(e.names, c.name)
		}
		all[i] = e
		running.Go(func() { e.encodeEach(i, len(all), stopped) })
	}
	return all, func() {
		close(stopped)
		running.Wait()
	}
}

func (e *encoder) encodeEach(first, step int, stopped <-chan struct{}) {
	for i := first; i < len(e.order.runs); i += step {
		e.encoded <- e.encode(i)
		select {
		case <-e.committed:
		case <-stopped:
			return
		}
	}
}

// encode fills the group with a run, column by column. Nobody else could recover
// from a panic, as of a row that is not as rows are.
func (e *encoder) encode(i int) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encode rows: panic: %v", p)
		}
	}()
	for some := range fetched(e.order.run(i, &e.scratch)) {
		e.batch.fill(some)
		for c, column := range e.group.ColumnWriters() {
			if _, err := column.WriteRowValues(e.batch.values[c][:len(some)]); err != nil {
				return fmt.Errorf("write column %s: %w", e.names[c], err)
			}
		}
	}
	return e.group.Flush()
}
