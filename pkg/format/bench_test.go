package format_test

import (
	"io"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

const (
	fewRows  = 100_000
	manyRows = 1_000_000
	// rounds is how often each side is timed before the median is taken.
	rounds = 5
	// heapSamples is how often the live heap is looked at while rows are written.
	heapSamples = 10
)

var benchOptions = format.Options{Generation: 42, Time: time.Unix(1_795_000_000, 0)}

// BenchmarkParquet writes 1,000,000 rows of a snapshot as Parquet.
//
// x-raw-rate is how many times the rows a second are written of a bare writer of
// parquet-go, which has the same rows as structs in memory, in order; the two take
// turns. x-memory-1m-to-100k is the most live heap that writing takes beside the
// snapshot, divided by the same of 100,000 rows; peak-MB is that of 1,000,000.
func BenchmarkParquet(b *testing.B) {
	many := filled(manyRows)
	fewPeak, manyPeak := peakHeap(b, filled(fewRows), format.Parquet), peakHeap(b, many, format.Parquet)
	rows := bareRows(many, benchOptions)
	var ours, bare []time.Duration
	var size, bareSize counter
	for b.Loop() {
		for range rounds {
			bare = append(bare, timed(b, &bareSize, func(w io.Writer) error { return writeBare(w, rows) }))
			ours = append(ours, timed(b, &size, func(w io.Writer) error { return format.Parquet.Write(w, many, benchOptions) }))
		}
	}
	if ratio := float64(size) / float64(bareSize); ratio < 0.97 || ratio > 1.03 { // pages end elsewhere
		b.Errorf("%d B, bare %d B: these are not the same rows, or not written alike", size, bareSize)
	}
	b.ReportMetric(float64(median(bare))/float64(median(ours)), "x-raw-rate")
	report(b, ours, size, fewPeak, manyPeak)
}

// BenchmarkFormats writes 1,000,000 rows in each format, with the units of
// BenchmarkParquet.
func BenchmarkFormats(b *testing.B) {
	few, many := filled(fewRows), filled(manyRows)
	for _, f := range format.All() {
		b.Run(string(f), func(b *testing.B) {
			var all []time.Duration
			var size counter
			for b.Loop() {
				for range rounds {
					all = append(all, timed(b, &size, func(w io.Writer) error { return f.Write(w, many, benchOptions) }))
				}
			}
			report(b, all, size, peakHeap(b, few, f), peakHeap(b, many, f))
		})
	}
}

func report(b *testing.B, times []time.Duration, size counter, fewPeak, manyPeak float64) {
	b.Helper()
	b.ReportMetric(manyRows/median(times).Seconds(), "rows/s")
	b.ReportMetric(float64(size)/manyRows, "B/row")
	b.ReportMetric(manyPeak/fewPeak, "x-memory-1m-to-100k")
	b.ReportMetric(manyPeak/1e6, "peak-MB")
	b.ReportMetric(0, "ns/op")
}

func filled(n int) *inventory.Snapshot {
	sample := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	sample.Fill(n)
	return sample.Snapshot()
}

// timed returns how long a write takes, and sets its size. Garbage is that of all,
// and collected before.
func timed(b *testing.B, size *counter, write func(io.Writer) error) time.Duration {
	b.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	*size = 0
	began := time.Now()
	err := write(size)
	took := time.Since(began)
	if err != nil {
		b.Fatal(err)
	}
	return took
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// peakHeap returns how much more of the heap is in use, at most, while a snapshot is
// written.
func peakHeap(b *testing.B, snapshot *inventory.Snapshot, f format.Format) float64 {
	b.Helper()
	var size counter
	timed(b, &size, func(w io.Writer) error { return f.Write(w, snapshot, benchOptions) })
	runtime.GC() // what is pooled goes with the second
	before := liveHeap()
	w := &heapWatch{every: size / heapSamples}
	if err := f.Write(w, snapshot, benchOptions); err != nil {
		b.Fatal(err)
	}
	return w.peak - before
}

// heapWatch looks at the heap once in so many bytes that are written, while the
// writer waits.
type heapWatch struct {
	every, written, next counter
	peak                 float64
}

func (w *heapWatch) Write(p []byte) (int, error) {
	if w.written >= w.next {
		for range 3 { // in which time what is encoded ahead is done
			runtime.GC()
		}
		w.peak, w.next = max(w.peak, liveHeap()), w.written+w.every
	}
	return w.written.Write(p)
}

// liveHeap collects garbage, and returns how many bytes that found in use.
func liveHeap() float64 {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return float64(live[0].Value.Uint64())
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
