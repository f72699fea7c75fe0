package format

import (
	"time"
	"unsafe"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// The columns that every file has, in order. Readers take the keys of a hive
// path (cluster, ns, name, generation) for columns that shadow those of the
// file: so none is called ns or name, and cluster and generation say the same
// in both.
const (
	columnCluster = iota
	columnInventoryNamespace
	columnInventoryName
	columnGeneration
	columnExportedAt
	columnRowKey
	columnTargetNamespace
	columnTargetName
	columnAPIGroup
	columnAPIVersion
	columnResource
	columnKind
	columnResourceNamespace
	columnResourceName
	columnUID
	columnCreatedAt
	columnLabels
	columnAttributes
	firstPromoted
)

// AttributePrefix is put before the name of a promoted attribute to name its
// column. Promoted columns come after the others, in the order of their names.
const AttributePrefix = "attr_"

// column is a column of the Parquet schema.
type column struct {
	name string
	node parquet.Node
	// bloom says that a look-up of one value is worth a filter.
	bloom bool
	// bare says that bounds of the values would help no reader.
	bare bool
}

// The kinds of columns, by what compresses them well.
var (
	texts         = parquet.Encoded(parquet.String(), &parquet.Plain)
	sortedTexts   = parquet.Encoded(parquet.String(), &parquet.DeltaByteArray)
	repeatedTexts = parquet.Encoded(parquet.String(), &parquet.RLEDictionary)
	documents     = parquet.Encoded(parquet.JSON(), &parquet.Plain)
	integers      = parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)
	moments       = parquet.Optional(parquet.Encoded(parquet.Timestamp(parquet.Millisecond), &parquet.DeltaBinaryPacked))
)

// columnsOf returns the columns of an inventory's files.
func columnsOf(of *inventory.Inventory) []column {
	columns := []column{
		columnCluster:            {name: "cluster", node: repeatedTexts},
		columnInventoryNamespace: {name: "inventory_namespace", node: repeatedTexts},
		columnInventoryName:      {name: "inventory_name", node: repeatedTexts},
		columnGeneration:         {name: "generation", node: integers},
		columnExportedAt:         {name: "exported_at", node: moments},
		columnRowKey:             {name: "row_key", node: texts, bare: true},
		columnTargetNamespace:    {name: "target_namespace", node: repeatedTexts},
		columnTargetName:         {name: "target_name", node: repeatedTexts},
		columnAPIGroup:           {name: "api_group", node: repeatedTexts},
		columnAPIVersion:         {name: "api_version", node: repeatedTexts},
		columnResource:           {name: "resource", node: repeatedTexts},
		columnKind:               {name: "kind", node: repeatedTexts},
		columnResourceNamespace:  {name: "resource_namespace", node: repeatedTexts},
		columnResourceName:       {name: "resource_name", node: sortedTexts},
		columnUID:                {name: "uid", node: texts, bloom: true, bare: true},
		columnCreatedAt:          {name: "created_at", node: moments},
		columnLabels:             {name: "labels", node: documents, bare: true},
		columnAttributes:         {name: "attributes", node: documents, bare: true},
	}
	for _, c := range of.Columns {
		columns = append(columns, promotedColumn(c))
	}
	return columns
}

// text returns a value that shares the string's bytes: writers copy them.
func text(s string) parquet.Value {
	return parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// moment returns a value of an optional column.
func moment(t time.Time) parquet.Value {
	if t.IsZero() {
		return parquet.Value{}
	}
	return present(parquet.Int64Value(t.UnixMilli()))
}

// present marks a value of an optional column as not null.
func present(v parquet.Value) parquet.Value { return v.Level(0, 1, 0) }
