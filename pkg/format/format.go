// Package format encodes snapshots as JSON, NDJSON, CSV and Parquet, for sinks and
// for downloads alike. It streams: for the order of rows it holds a byte a row, and
// 16 a row of the 60,000 that are written next; beside that two row groups of Parquet,
// of as many rows, and else a buffer, however large the snapshot. It decides nothing
// about where the bytes go and never reads the clock.
//
// Its invariant: equal contents, with an equal generation and export time, give
// equal bytes.
package format

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// Format is an encoding of a snapshot.
type Format string

// The formats.
const (
	JSON    Format = "json"
	NDJSON  Format = "ndjson"
	CSV     Format = "csv"
	Parquet Format = "parquet"
)

// APIVersion and Kind head a snapshot as JSON.
const (
	APIVersion = "inventory.kollect.io/v1alpha1"
	Kind       = "InventorySnapshot"
)

// schemaVersion rises when what is written for the same rows changes; that of
// Parquet also when its compressor writes something else.
func (f Format) schemaVersion() string {
	if f == Parquet {
		return "3"
	}
	return "1"
}

// Options says which export a file belongs to.
type Options struct {
	// Generation is the export generation; 0 when the snapshot was not exported.
	Generation int64
	// Time is when this generation was first exported, to the millisecond; zero
	// when the snapshot was not exported.
	Time time.Time
}

// All returns the formats.
func All() []Format { return []Format{JSON, NDJSON, CSV, Parquet} }

// Valid reports whether f is one of the formats.
func (f Format) Valid() bool { return slices.Contains(All(), f) }

// Extension is how the names of files of the format end, without a dot.
func (f Format) Extension() string { return string(f) }

// ContentType is the media type of the format.
func (f Format) ContentType() string {
	switch f {
	case JSON:
		return "application/json"
	case NDJSON:
		return "application/x-ndjson"
	case CSV:
		return "text/csv; charset=utf-8; header=present"
	default:
		return "application/vnd.apache.parquet"
	}
}

// Schema identifies the format, its version and, where the format has columns,
// those of the inventory.
func (f Format) Schema(of *inventory.Inventory) string {
	schema := string(f) + "/" + f.schemaVersion()
	if f != Parquet && f != CSV || len(of.Columns) == 0 {
		return schema
	}
	columns := sha256.New()
	for _, c := range of.Columns {
		fmt.Fprintf(columns, "%s %s\n", c.Name, c.Type)
	}
	return schema + "-" + hex.EncodeToString(columns.Sum(nil)[:8])
}

// Write encodes the snapshot to w. Rows are ordered by kind, namespace and
// name, then UID and target. Its only errors are those of w.
func (f Format) Write(w io.Writer, snapshot *inventory.Snapshot, options Options) error {
	options.Time = options.Time.UTC().Truncate(time.Millisecond)
	switch f {
	case JSON, NDJSON, CSV:
		buffered := bufio.NewWriterSize(w, 64<<10)
		var err error
		if f == CSV {
			err = writeCSV(buffered, snapshot, options)
		} else {
			err = writeJSON(buffered, f, snapshot, options)
		}
		if err != nil {
			return err
		}
		return buffered.Flush()
	case Parquet:
		return writeParquet(w, snapshot, options)
	default:
		return fmt.Errorf("unknown format %q", string(f))
	}
}
