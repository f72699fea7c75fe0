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
	// bloomBits a value keep false positives near 1%.
	bloomBits = 10
	// pageSize is about what a page has before compression. With the rows that are
	// looked at together it is mostly less than the 128 KiB up to which the compressor
	// needs no window of some megabytes.
	pageSize = 96 << 10
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

// writeParquet writes a run of the order as a row group, while the next are encoded.
func writeParquet(w io.Writer, snapshot *inventory.Snapshot, options Options) error {
	writer := parquet.NewGenericWriter[any](w, writerOptions(snapshot, options)...)
	order := orderOf(snapshot)
	encoders, stop := encodeAll(order, snapshot.Inventory(), options, writer.BeginRowGroup)
	defer stop()
	for i := range order.runs {
		e := encoders[i%len(encoders)]
		if err := <-e.encoded; err != nil {
			return err
		}
		if _, err := e.group.Commit(); err != nil {
			return fmt.Errorf("write row group: %w", err)
		}
		e.committed <- struct{}{}
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("write end of file: %w", err)
	}
	return nil
}

func writerOptions(snapshot *inventory.Snapshot, options Options) []parquet.WriterOption {
	of := snapshot.Inventory()
	columns := columnsOf(of)
	result := []parquet.WriterOption{
		schemaOf(columns),
		parquet.CreatedBy("kollect.io/kollect", Parquet.schemaVersion(), ""),
		parquet.PageBufferSize(pageSize),
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
