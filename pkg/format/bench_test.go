package format_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// bareRow is what a program would write that had its rows as structs.
type bareRow struct {
	Cluster            string    `parquet:"cluster,dict"`
	InventoryNamespace string    `parquet:"inventory_namespace,dict"`
	InventoryName      string    `parquet:"inventory_name,dict"`
	Generation         int64     `parquet:"generation,delta"`
	ExportedAt         time.Time `parquet:"exported_at,timestamp,delta"`
	RowKey             string    `parquet:"row_key"`
	TargetNamespace    string    `parquet:"target_namespace,dict"`
	TargetName         string    `parquet:"target_name,dict"`
	APIGroup           string    `parquet:"api_group,dict"`
	APIVersion         string    `parquet:"api_version,dict"`
	Resource           string    `parquet:"resource,dict"`
	Kind               string    `parquet:"kind,dict"`
	ResourceNamespace  string    `parquet:"resource_namespace,dict"`
	ResourceName       string    `parquet:"resource_name,delta"`
	UID                string    `parquet:"uid"`
	CreatedAt          time.Time `parquet:"created_at,timestamp,delta"`
	Labels             string    `parquet:"labels,json"`
	Attributes         string    `parquet:"attributes,json"`
	Image              *string   `parquet:"attr_image,dict"`
	Paused             *bool     `parquet:"attr_paused"`
	Ratio              *float64  `parquet:"attr_ratio"`
	Replicas           *int64    `parquet:"attr_replicas"`
}

// BenchmarkParquet writes the same rows from a snapshot, and bare from structs
// in memory, so that the two rates can be compared.
func BenchmarkParquet(b *testing.B) {
	options := format.Options{Generation: 42, Time: time.Unix(1_795_000_000, 0)}
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("rows=%d/snapshot", n), func(b *testing.B) {
			snapshot := filled(n)
			b.ReportAllocs()
			measure(b, n, func(w io.Writer) error { return format.Parquet.Write(w, snapshot, options) })
		})
		b.Run(fmt.Sprintf("rows=%d/bare", n), func(b *testing.B) {
			rows := bareRows(filled(n), options)
			measure(b, n, func(out io.Writer) error {
				w := parquet.NewGenericWriter[bareRow](out, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(122_880),
					parquet.BloomFilters(parquet.SplitBlockFilter(10, "uid"), parquet.SplitBlockFilter(10, "attr_image")))
				if _, err := w.Write(rows); err != nil {
					return err
				}
				return w.Close()
			})
		})
	}
}

func filled(n int) *inventory.Snapshot {
	sample := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	sample.Fill(n)
	return sample.Snapshot()
}

func measure(b *testing.B, n int, write func(io.Writer) error) {
	var size counter
	for b.Loop() {
		size = 0
		if err := write(&size); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/float64(n), "B/row")
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func bareRows(snapshot *inventory.Snapshot, options format.Options) []bareRow {
	rows := make([]bareRow, 0, snapshot.Len())
	image, paused, ratio, replicas := "registry.example/team/app-1:1.1", false, 0.5, int64(3)
	for e := range snapshot.All() {
		r := e.Row
		rows = append(rows, bareRow{
			Cluster: "demo", InventoryNamespace: "team-a", InventoryName: "apps",
			Generation: options.Generation, ExportedAt: options.Time, RowKey: e.Key.String(),
			TargetNamespace: r.Target().Namespace, TargetName: r.Target().Name,
			APIGroup: r.Resource().Group, APIVersion: r.Resource().Version, Resource: r.Resource().Resource, Kind: r.Resource().Kind,
			ResourceNamespace: r.Namespace(), ResourceName: r.Name(), UID: r.UID(), CreatedAt: r.Created(),
			Labels: r.Labels(), Attributes: r.Attributes(),
			Image: &image, Paused: &paused, Ratio: &ratio, Replicas: &replicas,
		})
	}
	return rows
}

// BenchmarkFormats writes a million rows in each format. B/op is what that takes
// beside the rows.
func BenchmarkFormats(b *testing.B) {
	const n = 1_000_000
	snapshot := filled(n)
	for _, f := range format.All() {
		b.Run(string(f), func(b *testing.B) {
			b.ReportAllocs()
			measure(b, n, func(w io.Writer) error { return f.Write(w, snapshot, format.Options{}) })
		})
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
