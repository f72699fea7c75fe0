package bench

import (
	"io"
	"net/url"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

const selectRounds = 1000

// BenchmarkSelect measures, in this process and without a cluster, a list of the
// 100 rows with one value of a promoted attribute, over HTTP and TLS. Each list
// is of another value. They take turns; the figures are of medians.
//
// x-1m-to-10k is its time with 1,000,000 rows (BENCH_SELECT_ROWS) divided by that
// with 10,000. x-find is the same for finding the rows alone, without the request
// and the answer.
func BenchmarkSelect(b *testing.B) {
	rows := fromEnv(b, "BENCH_SELECT_ROWS", 1_000_000)
	if rows < fewRows {
		b.Fatalf("BENCH_SELECT_ROWS is %d; give a number from %d on", rows, fewRows)
	}
	few, many := selecting(b, fewRows), selecting(b, rows)
	for b.Loop() {
		for i := range selectRounds {
			few.list(b, i)
			many.list(b, i)
			few.find(b, i)
			many.find(b, i)
		}
	}
	b.ReportMetric(float64(median(many.listed))/float64(median(few.listed)), "x-1m-to-10k")
	b.ReportMetric(float64(median(many.found))/float64(median(few.found)), "x-find")
	b.ReportMetric(float64(median(many.listed))/1e6, "list-ms")
	b.ReportMetric(float64(median(many.found))/1e6, "find-ms")
	b.ReportMetric(0, "ns/op")
}

// selectable is a store, what serves it, and what selections of it took.
type selectable struct {
	store         *inventory.Store
	side          *side
	values        int
	listed, found []time.Duration
}

func selecting(b *testing.B, rows int) *selectable {
	b.Helper()
	store := syntheticStore(b, rows, nil)
	s := &selectable{store: store, values: rows / valueRows}
	s.side = newSide(b, serve(b, store, listing(nil)), "/apis/inventory.kollect.io/v1alpha1/clusterinventoryrows", "")
	s.side.body(b, s.query(0), asJSON, `"source":`, valueRows)
	return s
}

// image returns the i-th value, in no order.
func (s *selectable) image(i int) string { return syntheticImage(i * 7919 % s.values) }

func (s *selectable) query(i int) string {
	return "?pretty=false&fieldSelector=" + url.QueryEscape("attributes.image="+s.image(i))
}

// list lists the rows with the i-th value.
func (s *selectable) list(b *testing.B, i int) {
	b.Helper()
	s.listed = append(s.listed, s.side.read(b, s.query(i), asJSON, io.Discard))
}

// find finds the rows with the i-th value.
func (s *selectable) find(b *testing.B, i int) {
	b.Helper()
	wanted := []inventory.Requirement{{Field: inventory.AttributeField("image"), Value: s.image(i)}}
	began, found := time.Now(), 0
	for range s.store.State().Snapshot(syntheticRef).Where(wanted, inventory.Key{}) {
		found++
	}
	s.found = append(s.found, time.Since(began))
	if found != valueRows {
		b.Fatalf("found %d rows of %s", found, s.image(i))
	}
}
