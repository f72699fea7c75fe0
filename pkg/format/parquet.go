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

// writeParquet writes a batch of rows at a time, column by column, while the
// next batch is filled.
func writeParquet(w io.Writer, snapshot *inventory.Snapshot, options Options) error {
	columns := columnsOf(snapshot.Inventory())
	writer := parquet.NewGenericWriter[any](w, writerOptions(columns, snapshot, options)...)
	entries := ordered(snapshot)
	filled, stop := fillAll(entries, snapshot.Inventory(), options)
	defer stop()
	written := 0
	for b := range filled {
		for i, c := range writer.ColumnWriters() {
			if _, err := c.WriteRowValues(b.values[i][:b.size]); err != nil {
				return fmt.Errorf("write column %s: %w", columns[i].name, err)
			}
		}
		if written += b.size; written%rowGroupRows == 0 {
			if err := writer.Flush(); err != nil {
				return fmt.Errorf("write row group: %w", err)
			}
		}
		b.free <- b
	}
	if err := stop(); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("write end of file: %w", err)
	}
	return nil
}

func writerOptions(columns []column, snapshot *inventory.Snapshot, options Options) []parquet.WriterOption {
	of := snapshot.Inventory()
	result := []parquet.WriterOption{
		schemaOf(columns),
		parquet.CreatedBy("kollect.io/kollect", Parquet.schemaVersion(), ""),
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
