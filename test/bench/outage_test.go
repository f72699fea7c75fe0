package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

const (
	outageRows    = 100_000
	outageSinks   = 4
	outageChanges = 250 * 3600 // an hour's, at 250 a second
)

// BenchmarkOutage measures this process's live heap while four sinks are down and
// rows change as often as they do in an hour at 250 changes a second, in an
// inventory of 100,000 rows that had been exported to all of them.
//
// x-heap is the heap after that, divided by that just before the sinks went down,
// when as many rows had changed as are kept as history.
func BenchmarkOutage(b *testing.B) {
	for b.Loop() {
		ref := inventory.Ref{Namespace: "team-a", Name: "apps"}
		sample := sinktest.NewSample(ref)
		sample.Fill(outageRows)
		exporter := export.New(export.Options{Store: sample.Store(), Generations: export.NewGenerations(&ownGenerations{})})
		down := &atomic.Bool{}
		for i := range outageSinks {
			exporter.Set(export.Pair{Inventory: ref, Sink: fmt.Sprint("sink-", i), Destination: export.FromEventEmitter(&downable{down: down})})
		}
		ctx, stop := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { exporter.Run(ctx) })
		await(b, exporter, ref, "exported", func(s export.State) bool { return s.Rows == outageRows })

		holdAll := func(s export.State) bool { return s.Hash == sample.Snapshot().Hash().String() }
		churn(sample, outageChanges/10)
		await(b, exporter, ref, "up to date", holdAll)
		before := ownHeap()
		down.Store(true)
		churn(sample, outageChanges)
		await(b, exporter, ref, "failing", func(s export.State) bool { return s.Outcome == export.Failed })
		after := ownHeap()
		down.Store(false)
		await(b, exporter, ref, "up to date", holdAll)
		stop()
		running.Wait()
		b.ReportMetric(after/before, "x-heap")
	}
	b.ReportMetric(0, "ns/op")
}

// churn changes one row after the other, as often as given.
func churn(sample *sinktest.Sample, changes int) {
	for i := range changes {
		sample.Set(fmt.Sprintf("app-%07d", i%outageRows), fmt.Sprintf("registry.example/team/app:%d", i))
	}
}

// await waits until all sinks of the inventory are as they should be.
func await(b *testing.B, exporter *export.Exporter, ref inventory.Ref, what string, are func(export.State) bool) {
	b.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(5 * time.Minute)
	for {
		n := 0
		for _, s := range exporter.States(ref) {
			if are(s) {
				n++
			}
		}
		if n == outageSinks {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			b.Fatalf("%d of %d sinks are %s: %+v", n, outageSinks, what, exporter.States(ref))
		}
	}
}

// ownGenerations reserves generations for this process alone.
type ownGenerations struct {
	mu   sync.Mutex // guards next
	next int64
}

func (g *ownGenerations) Reserve(_ context.Context, _ *inventory.Inventory, atLeast, count int64) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := max(g.next, atLeast)
	g.next = first + count
	return first, nil
}

// downable is an event emitter that can be down, and has lost all it held when it
// comes back: what it held would be in this heap, too.
type downable struct {
	down *atomic.Bool

	mu   sync.Mutex // guards mark
	mark sink.Mark
}

var errOutage = errors.New("connection refused")

// state returns what is held; a sink that is down holds nothing any more.
func (d *downable) state() (sink.Mark, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down.Load() {
		d.mark = sink.Mark{}
		return d.mark, errOutage
	}
	return d.mark, nil
}

func (d *downable) Mark(context.Context, *inventory.Inventory) (sink.Mark, error) { return d.state() }

func (d *downable) Held(context.Context, *inventory.Inventory, func(inventory.Held) error) error {
	_, err := d.state()
	return err
}

func (d *downable) Confirm(context.Context, *inventory.Inventory, sink.Mark, time.Time) (sink.Mark, error) {
	return d.state()
}

func (d *downable) Publish(_ context.Context, delta sink.Delta) (sink.Mark, error) {
	if _, err := d.state(); err != nil {
		return sink.Mark{}, err
	}
	for range delta.Updates {
		continue
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mark = delta.Mark()
	return d.mark, nil
}

func (d *downable) Inventories(context.Context, string) ([]inventory.Ref, error) {
	return nil, errors.ErrUnsupported
}

func (d *downable) Forget(context.Context, *inventory.Inventory, int64, time.Time) error {
	return errors.ErrUnsupported
}

func (d *downable) Schema(*inventory.Inventory) string { return "1" }

func (d *downable) Close() error { return nil }
