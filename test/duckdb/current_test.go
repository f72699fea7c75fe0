package duckdb_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// digest is what is asked of rows: a little of all of them.
const digest = `SELECT count(*), count(DISTINCT attr_image), sum(hash(row_key, attributes)), sum(generation) FROM `

// window asks without lists: of all files that there are it keeps the rows of the
// last generation of each inventory.
const window = `(FROM read_parquet('LAKE/inventory/**/*.parquet', hive_partitioning = false)
	QUALIFY rank() OVER (PARTITION BY cluster, inventory_namespace, inventory_name ORDER BY generation DESC) = 1)`

// BenchmarkCurrent asks for what is current of 200 inventories with 100
// generations each, by the shipped SQL and by a window over all files, in turns.
// x-window is the time of the one, in which the lists are read too, divided by
// that of the other; ms is the former.
func BenchmarkCurrent(b *testing.B) {
	l := newGenerations(b, 200, 100, 50)
	const turns = 3
	var ours, theirs []time.Duration
	for b.Loop() {
		for range turns {
			began := time.Now()
			want := l.query(digest + window)
			theirs = append(theirs, time.Since(began))
			for range turns { // since ours are so much shorter
				began = time.Now()
				l.refresh()
				got := l.query(digest + `inventory_current`)
				ours = append(ours, time.Since(began))
				if !slices.Equal(got, want) {
					b.Fatalf("what is current is %v, by a window %v", got, want)
				}
			}
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	our, their := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(our)/float64(their), "x-window")
	b.ReportMetric(float64(our)/1e6, "ms")
	b.ReportMetric(0, "ns/op")
}

// What the lists name is what a window over all files finds.
func TestCurrentIsWhatAWindowFinds(t *testing.T) {
	l := newGenerations(t, 8, 5, 20)
	l.refresh()
	l.want(digest+`inventory_current`, l.query(digest+window)...)
	l.want(`SELECT count(*), min(generation) FROM inventory_current`, "160|5")
}

// newGenerations is a lake of inventories with so many generations of so many
// rows. The store exports the last; those before it, which nobody but the window
// reads, are put where it would have.
func newGenerations(t testing.TB, inventories int, generations int64, rows int) *lake {
	t.Helper()
	l := newLake(t, kollectv1alpha1.FormatParquet)
	l.ship()
	for i := range inventories {
		ref := inventory.Ref{Namespace: fmt.Sprint("team-", i%20), Name: fmt.Sprint("apps-", i)}
		s := sinktest.NewSampleOf(fmt.Sprint("cluster-", i%10), ref)
		s.Fill(rows)
		l.export(s, generations)
		last := l.root + fmt.Sprintf("/inventory/cluster=cluster-%d/ns=%s/name=%s/generation=%d.parquet", i%10, ref.Namespace, ref.Name, generations)
		for generation := range generations - 1 {
			var file strings.Builder
			options := format.Options{Generation: generation + 1, Time: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)}
			if err := format.Parquet.Write(&file, s.Snapshot(), options); err != nil {
				t.Fatal(err)
			}
			name := strings.Replace(last, fmt.Sprintf("generation=%d.", generations), fmt.Sprintf("generation=%d.", generation+1), 1)
			if err := os.WriteFile(name, []byte(file.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l
}
