package format

import (
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// batchRows are turned into values at once; row groups are whole batches.
const batchRows = 512

// batch holds the values of a few rows by column.
type batch struct {
	size     int
	values   [][]parquet.Value
	promoted []inventory.Column
	keys     []byte
	rows     [batchRows]*inventory.Row
	touched  byte
	// free takes the batch back once its values are written.
	free chan *batch
}

// newBatch returns a batch with the values set that all rows share.
func newBatch(of *inventory.Inventory, options Options) *batch {
	b := &batch{promoted: of.Columns, keys: make([]byte, 0, batchRows*inventory.KeyLength)}
	for range firstPromoted + len(of.Columns) {
		b.values = append(b.values, make([]parquet.Value, batchRows))
	}
	for i := range batchRows {
		b.values[columnCluster][i] = text(of.Cluster)
		b.values[columnInventoryNamespace][i] = text(of.Namespace)
		b.values[columnInventoryName][i] = text(of.Name)
		b.values[columnGeneration][i] = parquet.Int64Value(options.Generation)
		b.values[columnExportedAt][i] = moment(options.Time)
	}
	return b
}

// fillAll returns the entries batch by batch. Each batch is to be sent to its
// free when it is done with; stop is to be called in any case, and says whether
// they are all.
func fillAll(entries []*inventory.Entry, of *inventory.Inventory, options Options) (filled <-chan *batch, stop func() error) {
	const batches = 2
	out, free, done := make(chan *batch), make(chan *batch, batches), make(chan struct{})
	for range batches {
		b := newBatch(of, options)
		b.free = free
		free <- b
	}
	var filler sync.WaitGroup
	var err error
	filler.Go(func() {
		defer close(out)
		defer func() {
			if p := recover(); p != nil { // nobody else could, of this goroutine
				err = fmt.Errorf("fill rows: panic: %v", p)
			}
		}()
		for len(entries) > 0 {
			var b *batch
			select {
			case b = <-free:
			case <-done:
				return
			}
			b.fill(entries)
			entries = entries[b.size:]
			select {
			case out <- b:
			case <-done:
				return
			}
		}
	})
	return out, sync.OnceValue(func() error {
		close(done)
		filler.Wait()
		return err
	})
}

// fill sets the values to those of the first entries.
func (b *batch) fill(entries []*inventory.Entry) {
	b.size = min(len(entries), batchRows)
	entries = entries[:b.size]
	b.touch(entries)
	b.keys = b.keys[:0]
	for i, e := range entries {
		row, resource, target := e.Row, e.Row.Resource(), e.Row.Target()
		b.keys, _ = e.Key.AppendText(b.keys)
		b.values[columnRowKey][i] = parquet.ByteArrayValue(b.keys[len(b.keys)-inventory.KeyLength:])
		b.values[columnTargetNamespace][i] = text(target.Namespace)
		b.values[columnTargetName][i] = text(target.Name)
		b.values[columnAPIGroup][i] = text(resource.Group)
		b.values[columnAPIVersion][i] = text(resource.Version)
		b.values[columnResource][i] = text(resource.Resource)
		b.values[columnKind][i] = text(resource.Kind)
		b.values[columnResourceNamespace][i] = text(row.Namespace())
		b.values[columnResourceName][i] = text(row.Name())
		b.values[columnUID][i] = text(row.UID())
		b.values[columnCreatedAt][i] = moment(row.Created())
		b.values[columnLabels][i] = text(row.Labels())
		b.values[columnAttributes][i] = text(row.Attributes())
		b.fillPromoted(i, row.Attributes())
	}
}

// touch brings the rows, which lie anywhere, into the processor's cache: a short
// loop waits for many of them at once.
func (b *batch) touch(entries []*inventory.Entry) {
	for i, e := range entries {
		b.rows[i] = e.Row
	}
	for _, row := range b.rows[:len(entries)] {
		b.touched += row.Labels()[0] + row.Attributes()[0]
	}
}
