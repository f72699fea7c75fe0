package inventory

// ColumnType is the type of a promoted attribute.
type ColumnType string

// The column types.
const (
	ColumnString  ColumnType = "string"
	ColumnInteger ColumnType = "integer"
	ColumnNumber  ColumnType = "number"
	ColumnBoolean ColumnType = "boolean"
)

// Column is a promoted attribute: a typed column in exports and tables.
type Column struct {
	Name string
	Type ColumnType
}
