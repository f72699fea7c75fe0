// Package sinkbench measures sinks that keep rows one by one, relational stores and
// event emitters alike: what an export costs, and when a change is seen. It knows no
// particular sink and starts no server.
package sinkbench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// Apply is RelationalStore.Apply or EventEmitter.Publish.
type Apply func(context.Context, sink.Delta) (sink.Mark, error)

// Place is an inventory and what a sink holds of it. It is not safe for concurrent
// use.
type Place struct {
	store sink.Keeper
	apply Apply

	sample  *sinktest.Sample
	rows    int
	changed int // rows, so far
	mark    sink.Mark
	base    *inventory.Base
}

// New returns an inventory with so many rows of which the sink holds none. Clusters
// tell inventories apart.
func New(store sink.Keeper, apply Apply, cluster string, rows int) *Place {
	p := &Place{store: store, apply: apply, rows: rows, base: inventory.NewBase(nil)}
	p.sample = sinktest.NewSampleOf(cluster, inventory.Ref{Namespace: "bench", Name: "apps"})
	p.sample.Fill(rows)
	return p
}

// Sample returns the inventory.
func (p *Place) Sample() *sinktest.Sample { return p.sample }

// Change changes the next n rows: others each time, in no order.
func (p *Place) Change(n int) {
	for range n {
		p.changed++
		p.sample.Set(p.Row(p.changed), fmt.Sprintf("registry.example/team/changed:1.%d", p.changed))
	}
}

// Row returns the name of the i-th row to change.
func (p *Place) Row(i int) string { return fmt.Sprintf("app-%07d", i*7919%p.rows) }

// Export brings the sink to the inventory, and returns how long that took.
func (p *Place) Export(b *testing.B) time.Duration {
	b.Helper()
	s := p.sample.Snapshot()
	delta := sink.Delta{
		Inventory: s.Inventory(), Base: p.mark, Generation: p.mark.Generation + 1, Time: time.Now(),
		Hash: s.Hash().String(), Schema: p.store.Schema(s.Inventory()), Rows: int64(s.Len()), Updates: p.base.Diff(s, nil),
	}
	began := time.Now()
	mark, err := p.apply(b.Context(), delta)
	took := time.Since(began)
	if err != nil {
		b.Fatalf("export %d rows: %v", delta.Rows, err)
	}
	p.mark, p.base = mark, inventory.BaseOf(s)
	return took
}

// Changes are exported that often, each time so many, before the median is taken.
const (
	Changes = 100
	Rounds  = 70
	warm    = 10 // rounds that do not count
)

// Measure has places take turns, so that all meet the same neighbours, and returns
// the median time of an export of 100 changes of each.
func Measure(b *testing.B, places ...*Place) []time.Duration {
	b.Helper()
	turns := make([]Turn, len(places))
	for i, p := range places {
		turns[i] = p.Turn
	}
	return MeasureTurns(b, turns...)
}

// Turn does something 100 times, and returns how long that took.
type Turn func(*testing.B) time.Duration

// Turn changes 100 rows, and returns how long their export took.
func (p *Place) Turn(b *testing.B) time.Duration {
	b.Helper()
	p.Change(Changes)
	return p.Export(b)
}

// MeasureTurns is Measure of other things than places, too. Every other round goes
// backwards, and each two count as one: the server may still have in memory what it
// has read for the turn before.
func MeasureTurns(b *testing.B, turns ...Turn) []time.Duration {
	b.Helper()
	took := make([][]time.Duration, len(turns))
	for round := range Rounds / 2 {
		forth := takeTurns(b, turns)
		slices.Reverse(turns)
		back := takeTurns(b, turns)
		slices.Reverse(turns)
		slices.Reverse(back)
		for i := range turns {
			if round >= warm/2 {
				took[i] = append(took[i], (forth[i]+back[i])/2)
			}
		}
	}
	medians := make([]time.Duration, len(turns))
	for i, all := range took {
		medians[i] = Median(all)
	}
	return medians
}

func takeTurns(b *testing.B, turns []Turn) (took []time.Duration) {
	b.Helper()
	runtime.GC() // which is that of all
	for _, turn := range turns {
		took = append(took, turn(b))
	}
	return took
}

// Median sorts the times.
func Median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
