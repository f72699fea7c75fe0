package format

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/inventory"
)

// promotedColumn returns the typed column of a promoted attribute.
func promotedColumn(c inventory.Column) column {
	col := column{name: AttributePrefix + c.Name}
	switch c.Type {
	case inventory.ColumnInteger:
		col.node = parquet.Optional(parquet.Int(64))
	case inventory.ColumnNumber:
		col.node = parquet.Optional(parquet.Leaf(parquet.DoubleType))
	case inventory.ColumnBoolean:
		col.node = parquet.Optional(parquet.Leaf(parquet.BooleanType))
	default:
		col.node, col.bloom = parquet.Optional(repeatedTexts), true
	}
	return col
}

// fillPromoted sets the i-th value of each promoted column to what the
// attributes have.
func (b *batch) fillPromoted(i int, attributes string) {
	inventory.EachPromoted(b.promoted, attributes, func(column int, value string) {
		b.values[firstPromoted+column][i] = promotedValue(value, b.promoted[column].Type)
	})
}

// promotedValue returns the value of a promoted attribute, null if it is empty or
// null. One of another type,
// as where two profiles disagree, is its JSON in a column of strings and null in
// the others; the column attributes has it in any case.
func promotedValue(value string, t inventory.ColumnType) parquet.Value {
	if value == "" || value == "null" {
		return parquet.Value{}
	}
	switch t {
	case inventory.ColumnInteger:
		if i, err := strconv.ParseInt(value, 10, 64); err == nil {
			return present(parquet.Int64Value(i))
		}
	case inventory.ColumnNumber:
		if f, err := strconv.ParseFloat(value, 64); err == nil {
			return present(parquet.DoubleValue(f))
		}
	case inventory.ColumnBoolean:
		if value == "true" || value == "false" {
			return present(parquet.BooleanValue(value == "true"))
		}
	default:
		return present(text(textOf(value)))
	}
	return parquet.Value{}
}

// textOf returns the string that a JSON string stands for, and the JSON of
// everything else.
func textOf(value string) string {
	if value[0] != '"' {
		return value
	}
	if bare := value[1 : len(value)-1]; strings.IndexByte(bare, '\\') < 0 {
		return bare
	}
	var s string
	if err := json.Unmarshal([]byte(value), &s); err != nil {
		return value
	}
	return s
}
