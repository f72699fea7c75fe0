package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// fakeSink is a snapshot store that fails on cue.
type fakeSink struct {
	mu sync.Mutex // guards what follows
	record
	schema string
	// begun is the highest generation of an export that was cut short: it is not
	// in the mark, and it is refused.
	begun int64
	fail  func(operation string) error
	// crash, if set, is called after a write took effect and before it returns.
	crash func()
}

// record is what a sink holds and what was called.
type record struct {
	mark     sink.Mark
	held     []string // names of the rows
	writes   []int64  // generations
	marks    int
	confirms int
	forgets  int
}

func (f *fakeSink) call(operation string) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(operation)
}

func (f *fakeSink) Mark(ctx context.Context, _ *inventory.Inventory) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.marks++
	if err := f.call("mark"); err != nil {
		return sink.Mark{}, err
	}
	return f.mark, ctx.Err()
}

func (f *fakeSink) Write(ctx context.Context, e sink.Export) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("write"); err != nil {
		return sink.Mark{}, err
	}
	if err := ctx.Err(); err != nil {
		return sink.Mark{}, err
	}
	if begun := f.begun; begun != 0 && e.Generation <= begun {
		return sink.Mark{}, fmt.Errorf("an export of generation %d was begun: %w", begun, sink.ErrFenced)
	}
	if e.Generation <= f.mark.Generation {
		return sink.Mark{}, fmt.Errorf("write generation %d over %d: %w", e.Generation, f.mark.Generation, sink.ErrFenced)
	}
	if err := e.Unmoved(f.mark.Generation); err != nil {
		return sink.Mark{}, err
	}
	f.mark = sink.Mark{
		Generation: e.Generation, Hash: e.Snapshot.Hash().String(), Schema: f.schema,
		Rows: int64(e.Snapshot.Len()), Time: e.Time,
	}
	f.held = names(e.Snapshot)
	f.writes = append(f.writes, e.Generation)
	if f.crash != nil {
		f.crash()
	}
	return f.mark, nil
}

func (f *fakeSink) Confirm(_ context.Context, _ *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("confirm"); err != nil {
		return sink.Mark{}, err
	}
	if f.mark.Generation != mark.Generation {
		return sink.Mark{}, sink.ErrFenced
	}
	f.mark.Time = at
	f.confirms++
	return f.mark, nil
}

func (f *fakeSink) Inventories(context.Context, string) ([]inventory.Ref, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mark.Generation == 0 || f.mark.Forgotten {
		return nil, nil
	}
	return []inventory.Ref{ref}, nil
}

func (f *fakeSink) Forget(_ context.Context, _ *inventory.Inventory, generation int64, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("forget"); err != nil {
		return err
	}
	if generation <= f.mark.Generation && !f.mark.Forgotten {
		return sink.ErrFenced
	}
	f.mark, f.held = sink.Mark{Generation: generation, Time: at, Forgotten: true}, nil
	f.forgets++
	return nil
}

func (f *fakeSink) Schema(*inventory.Inventory) string { return f.schema }

func (f *fakeSink) Close() error { return nil }

func (f *fakeSink) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeSink) saw() record {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.record
	r.writes = slices.Clone(r.writes)
	return r
}

func names(s *inventory.Snapshot) []string {
	var names []string
	for e := range s.All() {
		names = append(names, e.Row.Name())
	}
	slices.Sort(names)
	return names
}

// fakeReserver persists the highest reserved generation.
type fakeReserver struct {
	mu       sync.Mutex // guards what follows
	reserved int64
	calls    int
	err      error
}

func (f *fakeReserver) Reserve(_ context.Context, _ *inventory.Inventory, atLeast, count int64) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return 0, f.err
	}
	first := max(f.reserved+1, atLeast)
	f.reserved = first + count - 1
	return first, nil
}

func (f *fakeReserver) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

var (
	ref    = inventory.Ref{Namespace: "team-a", Name: "apps"}
	target = inventory.TargetRef{Namespace: "team-a", Name: "web"}
	pods   = &inventory.Resource{Version: "v1", Resource: "pods", Kind: "Pod"}
)

func row(name, content string) *inventory.Row { return rowOf(&target, name, content) }

func rowOf(target *inventory.TargetRef, name, content string) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: pods, Target: target, Namespace: "team-a", Name: name, UID: "uid-" + name,
		Attributes: []byte(`{"a":"` + content + `"}`),
	})
}

// fixture is a store with one inventory, and an exporter.
type fixture struct {
	*testing.T
	store    *inventory.Store
	reserver *fakeReserver
	exporter *Exporter
	stop     func()
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{T: t, store: inventory.NewStore(inventory.Options{}), reserver: &fakeReserver{}}
	f.store.Update(func(tx *inventory.Tx) { tx.SetInventory(f.inventory(1)) })
	f.restart()
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *fixture) inventory(specGeneration int64) inventory.Inventory {
	return inventory.Inventory{
		Ref: ref, UID: "u", SpecGeneration: specGeneration, Cluster: "c", Targets: []inventory.TargetRef{target},
	}
}

// restart runs another exporter, as after a crash.
func (f *fixture) restart(options ...func(*Options)) {
	if f.stop != nil {
		f.stop()
	}
	o := Options{Store: f.store, Generations: NewGenerations(f.reserver)}
	for _, change := range options {
		change(&o)
	}
	f.exporter = New(o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	done := make(chan struct{})
	exporter := f.exporter
	go func() {
		defer close(done)
		exporter.Run(ctx)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

func (f *fixture) pair(name string, store sink.SnapshotStore, settings Settings) {
	f.destination(name, FromSnapshotStore(store), settings)
}

func (f *fixture) destination(name string, d Destination, settings Settings) {
	f.exporter.Set(Pair{Inventory: ref, Sink: name, Destination: d, Settings: settings})
	synctest.Wait()
}

func (f *fixture) put(rows ...*inventory.Row) {
	f.store.Update(func(tx *inventory.Tx) {
		for _, r := range rows {
			tx.Put(r, "1")
		}
	})
	synctest.Wait()
}

func (f *fixture) remove(rows ...*inventory.Row) {
	f.store.Update(func(tx *inventory.Tx) {
		for _, r := range rows {
			tx.Remove(r)
		}
	})
	synctest.Wait()
}

func (f *fixture) synced(synced, stale bool, message string) {
	f.store.Update(func(tx *inventory.Tx) {
		tx.SetTargetState(target, inventory.TargetState{Synced: synced, Stale: stale, Message: message})
	})
	synctest.Wait()
}

func (f *fixture) wait(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func (f *fixture) state() State {
	f.Helper()
	states := f.exporter.States(ref)
	if len(states) == 0 {
		f.Fatal("the inventory has no pairs")
	}
	return states[0]
}

func (f *fixture) wantWrites(s *fakeSink, want ...int64) {
	f.Helper()
	if got := s.saw().writes; !slices.Equal(got, want) {
		f.Errorf("generations written: %v, want %v", got, want)
	}
}

func rows(n int) []*inventory.Row {
	var rows []*inventory.Row
	for i := range n {
		rows = append(rows, row(fmt.Sprint("pod-", i), "1"))
	}
	return rows
}

var errDown = errors.New("dial https://user:secret@store.example: connection refused")

func putRow(row *inventory.Row) func(*inventory.Tx) {
	return func(tx *inventory.Tx) { tx.Put(row, "1") }
}
