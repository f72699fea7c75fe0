package format

import (
	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// batch holds the values of a few rows by column.
type batch struct {
	values   [][]parquet.Value
	promoted []inventory.Column
	keys     []byte
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

// fill sets the values to those of the entries.
func (b *batch) fill(entries []*inventory.Entry) {
	b.keys = b.keys[:0]
	for i, e := range entries {
		row := e.Row
		resource, target := row.Resource(), row.Target()
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
