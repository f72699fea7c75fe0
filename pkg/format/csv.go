package format

import (
	"bufio"
	"strconv"
	"strings"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// newline ends the lines of CSV (RFC 4180).
const newline = "\r\n"

// writeCSV writes a header and a line a row, with the columns of Parquet. What
// is null there is empty; an empty promoted string is "". A failed write shows
// in the next one and in Flush.
//
// Values are never altered: what reads the file as data gets what the rows have,
// and a spreadsheet must be told to read a value that begins with = as text.
func writeCSV(w *bufio.Writer, snapshot *inventory.Snapshot, options Options) error {
	of := snapshot.Inventory()
	for i, c := range columnsOf(of) {
		if i > 0 {
			w.WriteByte(',')
		}
		w.Write(appendField(nil, c.name))
	}
	w.WriteString(newline)

	shared := appendShared(nil, of, options)
	promoted := make([]string, len(of.Columns))
	var buf []byte
	for e := range orderOf(snapshot).all {
		buf = append(buf[:0], shared...)
		buf = appendLine(buf, e)
		inventory.EachPromoted(of.Columns, e.Row.Attributes(), func(i int, value string) { promoted[i] = value })
		for i, value := range promoted {
			buf = appendPromoted(append(buf, ','), value, of.Columns[i].Type)
		}
		if _, err := w.Write(append(buf, newline...)); err != nil {
			return err
		}
	}
	return nil
}

// appendShared appends the fields that all rows share, each with a comma after
// it.
func appendShared(buf []byte, of *inventory.Inventory, options Options) []byte {
	buf = append(appendField(buf, of.Cluster), ',')
	buf = append(appendField(buf, of.Namespace), ',')
	buf = append(appendField(buf, of.Name), ',')
	buf = append(strconv.AppendInt(buf, options.Generation, 10), ',')
	if !options.Time.IsZero() {
		buf = options.Time.AppendFormat(buf, TimeLayout)
	}
	return append(buf, ',')
}

// appendLine appends the fields that every row has, without a comma after them.
func appendLine(buf []byte, e *inventory.Entry) []byte {
	row, resource, target := e.Row, e.Row.Resource(), e.Row.Target()
	buf, _ = e.Key.AppendText(buf)
	for _, field := range [...]string{
		target.Namespace, target.Name, resource.Group, resource.Version, resource.Resource, resource.Kind,
		row.Namespace(), row.Name(), row.UID(),
	} {
		buf = appendField(append(buf, ','), field)
	}
	buf = append(buf, ',')
	if created := row.Created(); !created.IsZero() {
		buf = created.AppendFormat(buf, time.RFC3339)
	}
	buf = appendQuoted(append(buf, ','), row.Labels())
	return appendQuoted(append(buf, ','), row.Attributes())
}

// appendPromoted appends the value of a promoted attribute, given as JSON, as
// far as Parquet has it.
func appendPromoted(buf []byte, value string, t inventory.ColumnType) []byte {
	switch {
	case promotedValue(value, t).IsNull():
		return buf
	case t == inventory.ColumnInteger, t == inventory.ColumnNumber, t == inventory.ColumnBoolean:
		return append(buf, value...)
	}
	if s := textOf(value); s != "" {
		return appendField(buf, s)
	}
	return append(buf, `""`...)
}

// appendField appends a field, in quotes if it needs them.
func appendField(buf []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case ',', '"', '\r', '\n', ' ', '\t': // blanks are lost to some readers
			return appendQuoted(buf, s)
		}
	}
	return append(buf, s...)
}

func appendQuoted(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for {
		quote := strings.IndexByte(s, '"')
		if quote < 0 {
			return append(append(buf, s...), '"')
		}
		buf = append(append(buf, s[:quote+1]...), '"')
		s = s[quote+1:]
	}
}
