package sinkbench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
)

const (
	changesPerSecond = 1000
	changes          = changesPerSecond * 10
	stampPrefix      = "stamped:"
)

// Freshness is when changes of a source were made, and how long until each was seen.
// It is safe for concurrent use.
type Freshness struct {
	mu    sync.Mutex // guards what follows
	made  []time.Time
	took  []time.Duration // without the first
	seen  map[int]bool
	first chan struct{} // closed once the first is seen
	all   chan struct{} // closed once all are seen
}

// NewFreshness returns one of changes that are still to be made.
func NewFreshness() *Freshness {
	return &Freshness{seen: map[int]bool{}, first: make(chan struct{}), all: make(chan struct{})}
}

// See notes that somebody sees a row with these attributes, at a time.
func (f *Freshness) See(attributes string, at time.Time) {
	var row struct{ Image string }
	if json.Unmarshal([]byte(attributes), &row) != nil {
		return
	}
	digits, ok := strings.CutPrefix(row.Image, stampPrefix)
	var i int
	if n, _ := fmt.Sscan(digits, &i); !ok || n != 1 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if i >= len(f.made) || f.seen[i] {
		return
	}
	f.seen[i] = true
	if i == 0 {
		close(f.first)
		return
	}
	if f.took = append(f.took, at.Sub(f.made[i])); len(f.took) == changes {
		close(f.all)
	}
}

// Run exports the place's inventory to the destination by a real exporter, then
// changes 1,000 rows a second for ten seconds, and returns the 99th percentile of the
// times from just before a change is made in the store until it is seen. It begins when
// one more change is seen: a reader may still be busy with the first export until then.
func (f *Freshness) Run(b *testing.B, p *Place, destination export.Destination) time.Duration {
	b.Helper()
	if p.rows <= changes {
		b.Fatalf("%d rows are fewer than changes", p.rows)
	}
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	ref, changed := p.sample.Snapshot().Inventory().Ref, make(chan struct{}, 1)
	exporter := export.New(export.Options{
		Store: p.sample.Store(), Generations: export.NewGenerations(&reserver{}),
		Changed: func(inventory.Ref) {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	exporter.Set(export.Pair{Inventory: ref, Sink: "bench", Destination: destination})
	var ended sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	ended.Go(func() { exporter.Run(running) })
	defer ended.Wait()
	defer stop()
	for exporter.States(ref)[0].Rows != int64(p.rows) {
		select {
		case <-changed:
		case <-ctx.Done():
			b.Fatalf("the rows are not exported: %+v", exporter.States(ref)[0])
		}
	}
	f.change(p, 0)
	f.wait(ctx, b, f.first)
	f.changeAll(p)
	f.wait(ctx, b, f.all)
	slices.Sort(f.took)
	return f.took[len(f.took)*99/100]
}

func (f *Freshness) wait(ctx context.Context, b *testing.B, seen <-chan struct{}) {
	b.Helper()
	select {
	case <-seen:
	case <-ctx.Done():
		f.mu.Lock()
		defer f.mu.Unlock()
		b.Fatalf("%d of %d changes were seen", len(f.seen), len(f.made))
	}
}

// changeAll changes rows at the rate, each another.
func (f *Freshness) changeAll(p *Place) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range changes {
		due := began.Add(time.Duration(i) * time.Second / changesPerSecond)
		timer.Reset(time.Until(due))
		<-timer.C
		f.change(p, i+1)
	}
}

func (f *Freshness) change(p *Place, i int) {
	f.mu.Lock()
	f.made = append(f.made, time.Now())
	f.mu.Unlock()
	p.sample.Set(p.Row(i), fmt.Sprint(stampPrefix, i))
}

// reserver gives out generations of this process alone.
type reserver struct {
	mu   sync.Mutex // guards next
	next int64
}

func (r *reserver) Reserve(_ context.Context, _ *inventory.Inventory, atLeast, count int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := max(r.next, atLeast)
	r.next = first + count
	return first, nil
}
