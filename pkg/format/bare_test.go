package format_test

import (
	"encoding/json"
	"io"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

// bareRow is what a program would write that had its rows as structs: the columns
// of a sample, of the same types and encodings.
type bareRow struct {
	Cluster            string    `parquet:"cluster,dict"`
	InventoryNamespace string    `parquet:"inventory_namespace,dict"`
	InventoryName      string    `parquet:"inventory_name,dict"`
	Generation         int64     `parquet:"generation,delta"`
	ExportedAt         time.Time `parquet:"exported_at,optional,timestamp,delta"`
	RowKey             string    `parquet:"row_key,plain"`
	TargetNamespace    string    `parquet:"target_namespace,dict"`
	TargetName         string    `parquet:"target_name,dict"`
	APIGroup           string    `parquet:"api_group,dict"`
	APIVersion         string    `parquet:"api_version,dict"`
	Resource           string    `parquet:"resource,dict"`
	Kind               string    `parquet:"kind,dict"`
	ResourceNamespace  string    `parquet:"resource_namespace,dict"`
	ResourceName       string    `parquet:"resource_name,delta"`
	UID                string    `parquet:"uid,plain"`
	CreatedAt          time.Time `parquet:"created_at,optional,timestamp,delta"`
	Labels             string    `parquet:"labels,json,plain"`
	Attributes         string    `parquet:"attributes,json,plain"`
	Image              *string   `parquet:"attr_image,dict"`
	Paused             *bool     `parquet:"attr_paused"`
	Ratio              *float64  `parquet:"attr_ratio"`
	Replicas           *int64    `parquet:"attr_replicas"`
}

// bareRows returns the rows of a snapshot of a sample, in the order of its files.
func bareRows(snapshot *inventory.Snapshot, options format.Options) []bareRow {
	of := snapshot.Inventory()
	rows := make([]bareRow, 0, snapshot.Len())
	for _, e := range format.Ordered(snapshot) {
		r, resource := e.Row, e.Row.Resource()
		row := bareRow{
			Cluster: of.Cluster, InventoryNamespace: of.Namespace, InventoryName: of.Name,
			Generation: options.Generation, ExportedAt: options.Time, RowKey: e.Key.String(),
			TargetNamespace: r.Target().Namespace, TargetName: r.Target().Name,
			APIGroup: resource.Group, APIVersion: resource.Version, Resource: resource.Resource, Kind: resource.Kind,
			ResourceNamespace: r.Namespace(), ResourceName: r.Name(), UID: r.UID(), CreatedAt: r.Created(),
			Labels: r.Labels(), Attributes: r.Attributes(),
		}
		var promoted struct {
			Image    *string
			Paused   *bool
			Ratio    *float64
			Replicas *int64
		}
		if err := json.Unmarshal([]byte(r.Attributes()), &promoted); err != nil {
			panic(err) // attributes are JSON
		}
		row.Image, row.Paused, row.Ratio, row.Replicas = promoted.Image, promoted.Paused, promoted.Ratio, promoted.Replicas
		rows = append(rows, row)
	}
	return rows
}

// writeBare writes rows as Parquet, with the options of the format.
func writeBare(out io.Writer, rows []bareRow) error {
	w := parquet.NewGenericWriter[bareRow](out,
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}),
		parquet.PageBufferSize(96<<10),
		parquet.MaxRowsPerRowGroup(60_000),
		parquet.BloomFilters(parquet.SplitBlockFilter(10, "uid"), parquet.SplitBlockFilter(10, "attr_image")),
		parquet.SkipPageBounds("row_key"), parquet.SkipPageStatistics("row_key"),
		parquet.SkipPageBounds("uid"), parquet.SkipPageStatistics("uid"),
		parquet.SkipPageBounds("labels"), parquet.SkipPageStatistics("labels"),
		parquet.SkipPageBounds("attributes"), parquet.SkipPageStatistics("attributes"),
		parquet.SortingWriterConfig(parquet.SortingColumns(
			parquet.Ascending("kind"), parquet.Ascending("resource_namespace"), parquet.Ascending("resource_name"))),
	)
	if _, err := w.Write(rows); err != nil {
		return err
	}
	return w.Close()
}
