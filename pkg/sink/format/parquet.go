package format

import (
	"fmt"
	"io"
	"strconv"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"kollect.io/kollect/pkg/inventory"
)

const (
	// rowGroupRows is the unit in which DuckDB divides work.
	rowGroupRows = 122_880
	// batchRows are turned into values at once; row groups are whole batches.
	batchRows = 512
	// bloomBits a value keep false positives near 1%.
	bloomBits = 10
)

// root is the schema's root with its fields in the order of the columns;
// parquet.Group alone would sort them by name.
type root struct {
	parquet.Group
	fields []parquet.Field
}

func (r root) Fields() []parquet.Field { return r.fields }

func schemaOf(columns []column) *parquet.Schema {
	group := parquet.Group{}
	place := make(map[string]int, len(columns))
	for i, c := range columns {
		group[c.name] = c.node
		place[c.name] = i
	}
	fields := make([]parquet.Field, len(columns))
	for _, f := range group.Fields() {
		fields[place[f.Name()]] = f
	}
	return parquet.NewSchema("inventory", root{group, fields})
}

// writeParquet writes a batch of rows at a time, column by column.
func writeParquet(w io.Writer, snapshot *inventory.Snapshot, options Options) error {
	columns := columnsOf(snapshot.Inventory())
	writer := parquet.NewGenericWriter[any](w, writerOptions(columns, snapshot, options)...)
	batch := newBatch(snapshot.Inventory(), options)
	entries := ordered(snapshot)
	for at := 0; at < len(entries); {
		n := batch.fill(entries[at:])
		for i, c := range writer.ColumnWriters() {
			if _, err := c.WriteRowValues(batch.values[i][:n]); err != nil {
				return fmt.Errorf("write column %s: %w", columns[i].name, err)
			}
		}
		at += n
		if at%rowGroupRows == 0 {
			if err := writer.Flush(); err != nil {
				return fmt.Errorf("write row group: %w", err)
			}
		}
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("write end of file: %w", err)
	}
	return nil
}

// batch holds the values of a few rows by column.
type batch struct {
	promoted []inventory.Column
	values   [][]parquet.Value
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

// fill sets the values to those of the first entries and returns of how many.
func (b *batch) fill(entries []*inventory.Entry) int {
	n := min(len(entries), batchRows)
	b.keys = b.keys[:0]
	for i, e := range entries[:n] {
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
		for j, c := range b.promoted {
			b.values[firstPromoted+j][i] = promotedValue(row.Attributes(), c)
		}
	}
	return n
}

func writerOptions(columns []column, snapshot *inventory.Snapshot, options Options) []parquet.WriterOption {
	of := snapshot.Inventory()
	result := []parquet.WriterOption{
		schemaOf(columns),
		parquet.CreatedBy("kollect.io/kollect", strconv.Itoa(schemaVersion), ""),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.SortingWriterConfig(parquet.SortingColumns(
			parquet.Ascending("kind"), parquet.Ascending("resource_namespace"), parquet.Ascending("resource_name"))),
	}
	for _, pair := range [...][2]string{
		{"kollect.schema", Parquet.Schema(of)},
		{"kollect.cluster", of.Cluster},
		{"kollect.inventory", of.Ref.String()},
		{"kollect.generation", strconv.FormatInt(options.Generation, 10)},
		{"kollect.contentHash", snapshot.Hash().String()},
		{"kollect.rows", strconv.Itoa(snapshot.Len())},
	} {
		result = append(result, parquet.KeyValueMetadata(pair[0], pair[1]))
	}
	var blooms []parquet.BloomFilterColumn
	for _, c := range columns {
		if c.bloom {
			blooms = append(blooms, parquet.SplitBlockFilter(bloomBits, c.name))
		}
		if c.bare {
			result = append(result, parquet.SkipPageBounds(c.name), parquet.SkipPageStatistics(c.name))
		}
	}
	return append(result, parquet.BloomFilters(blooms...))
}
