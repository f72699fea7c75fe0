package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// fakeKeeper is what the fakes of keepers share. It fails on cue, and fails the
// test if it is told what is not so, or what it knows.
type fakeKeeper struct {
	t *testing.T
	// leftAlone returns the targets of which nothing may change now.
	leftAlone func() func(inventory.TargetRef) bool
	// refuses, if set, returns whether a row is one that is never held.
	refuses func(*inventory.Row) bool

	mu sync.Mutex // guards what follows
	keeperRecord
	rows map[inventory.Key]heldRow
	fail func(operation string) error
	// cut, unless negative, is how many updates are made before the next call ends
	// with errDown; as many as there are, or more: all, but nobody hears of it.
	cut int
}

type heldRow struct {
	inventory.Held
	schema string
}

// keeperRecord is what was called.
type keeperRecord struct {
	mark            sink.Mark
	deltas, updates int
	helds, confirms int
}

// newFakes returns a relational store and an event emitter.
func newFakes(f *fixture) (*fakeStore, *fakeEmitter) {
	leftAlone := func() func(inventory.TargetRef) bool { return unsynced(f.store.State().Snapshot(ref).Head()) }
	fake := func() *fakeKeeper {
		return &fakeKeeper{t: f.T, leftAlone: leftAlone, rows: map[inventory.Key]heldRow{}, cut: -1}
	}
	return &fakeStore{fake()}, &fakeEmitter{fake()}
}

func (f *fakeKeeper) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeKeeper) saw() keeperRecord {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keeperRecord
}

func (f *fakeKeeper) call(operation string) error {
	if f.fail == nil {
		return nil
	}
	return f.fail(operation)
}

func (f *fakeKeeper) Mark(context.Context, *inventory.Inventory) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mark, f.call("mark")
}

func (f *fakeKeeper) Held(_ context.Context, _ *inventory.Inventory, yield func(inventory.Held) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.helds++
	for _, row := range f.rows {
		if err := yield(row.Held); err != nil {
			return err
		}
	}
	return f.call("held")
}

func (f *fakeKeeper) Confirm(_ context.Context, _ *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
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

func (f *fakeKeeper) Inventories(context.Context, string) ([]inventory.Ref, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mark.Generation == 0 || f.mark.Forgotten {
		return nil, nil
	}
	return []inventory.Ref{ref}, nil
}

func (f *fakeKeeper) Forget(_ context.Context, _ *inventory.Inventory, generation int64, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("forget"); err != nil {
		return err
	}
	if generation <= f.mark.Generation && !f.mark.Forgotten {
		return sink.ErrFenced
	}
	clear(f.rows)
	f.mark = sink.Mark{Generation: generation, Time: at, Forgotten: true}
	return nil
}

func (f *fakeKeeper) Schema(of *inventory.Inventory) string { return fmt.Sprint(of.Columns) }

func (f *fakeKeeper) Close() error { return nil }

func (f *fakeKeeper) Refuses(_ *inventory.Inventory, _ inventory.Key, row *inventory.Row) error {
	if f.refuses != nil && f.refuses(row) {
		return fmt.Errorf("%s is too large", row.Name())
	}
	return nil
}

// begin returns the updates, or an error if there is no reason to make them.
func (f *fakeKeeper) begin(d sink.Delta) ([]inventory.Update, error) {
	if err := f.call("apply"); err != nil {
		return nil, err
	}
	if f.mark.Generation != d.Base.Generation || d.Generation <= f.mark.Generation {
		return nil, fmt.Errorf("generation %d is held, not %d: %w", f.mark.Generation, d.Base.Generation, sink.ErrFenced)
	}
	updates := slices.Collect(d.Updates)
	f.check(d, updates)
	f.deltas++
	f.updates += len(updates)
	return updates, nil
}

func (f *fakeKeeper) check(d sink.Delta, updates []inventory.Update) {
	if f.mark.Hash == d.Hash && f.mark.Schema == d.Schema {
		f.t.Errorf("a delta to what is held: %+v", d)
	}
	leftAlone := f.leftAlone()
	for i, u := range updates {
		row, held := f.rows[u.Key]
		switch {
		case i > 0 && updates[i-1].Key.Compare(u.Key) >= 0:
			f.t.Errorf("update of %v after %v", u.Key, updates[i-1].Key)
		case u.Held != held, held && u.Origin != row.Origin, !held && u.Row == nil:
			f.t.Errorf("update %+v of %+v, held %v", u, row, held)
		case held && u.Row != nil && u.Row.Hash() == row.Hash && d.Schema == f.mark.Schema:
			f.t.Errorf("update %v changes nothing", u.Key)
		case u.Row != nil && f.Refuses(d.Inventory, u.Key, u.Row) != nil:
			f.t.Errorf("update %v holds a row that is refused", u.Key)
		case leftAlone != nil && (held && leftAlone(u.Origin.Target) || u.Row != nil && leftAlone(u.Row.Target())):
			f.t.Errorf("update %v of a target that is not synced", u.Key)
		}
	}
}

func (f *fakeKeeper) make(d sink.Delta, updates []inventory.Update) {
	for _, u := range updates {
		if u.Row == nil {
			delete(f.rows, u.Key)
			continue
		}
		f.rows[u.Key] = heldRow{inventory.Held{Key: u.Key, Hash: u.Row.Hash(), Origin: u.Row.Origin()}, f.Schema(d.Inventory)}
	}
}

// end notes the mark once all updates are made.
func (f *fakeKeeper) end(d sink.Delta) (sink.Mark, error) {
	f.mark = d.Mark()
	if hash := f.hash(); f.mark.Hash != hash || f.mark.Rows != int64(len(f.rows)) {
		f.t.Errorf("mark %+v of %d rows of %s", f.mark, len(f.rows), hash)
	}
	if f.cut >= 0 {
		f.cut = -1
		return sink.Mark{}, errDown
	}
	return f.mark, nil
}

func (f *fakeKeeper) hash() string {
	var rows []inventory.Held
	for _, row := range f.rows {
		rows = append(rows, row.Held)
	}
	return inventory.NewBase(rows).Hash().String()
}

// overwrite is what another process does that exports something else.
func (f *fakeKeeper) overwrite(ahead int64, keep func(inventory.Key) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.DeleteFunc(f.rows, func(k inventory.Key, _ heldRow) bool { return !keep(k) })
	f.mark.Generation += ahead
	f.mark.Hash, f.mark.Rows = f.hash(), int64(len(f.rows))
}

// holds checks that exactly the snapshot is held, but for rows that are refused.
func (f *fakeKeeper) holds(s *inventory.Snapshot) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var refused []inventory.Key
	for e := range s.All() {
		if f.Refuses(s.Inventory(), e.Key, e.Row) != nil {
			refused = append(refused, e.Key)
		}
	}
	all := inventory.BaseOf(s).Without(refused)
	if f.mark.Hash != all.Hash().String() || f.hash() != f.mark.Hash || f.mark.Rows != int64(all.Len()) {
		f.t.Errorf("%d rows of %s are held, and the mark is %+v: want %d of %s", len(f.rows), f.hash(), f.mark, all.Len(), all.Hash())
	}
	want := f.Schema(s.Inventory())
	for _, row := range f.rows {
		if row.schema != want || f.mark.Schema != want {
			f.t.Errorf("a row is of schema %s, and the mark says %s: want %s", row.schema, f.mark.Schema, want)
			break
		}
	}
}

// fakeStore makes all updates or none.
type fakeStore struct{ *fakeKeeper }

func (f *fakeStore) Apply(_ context.Context, d sink.Delta) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	updates, err := f.begin(d)
	if err != nil {
		return sink.Mark{}, err
	}
	if f.cut >= 0 && f.cut < len(updates) {
		f.cut = -1
		return sink.Mark{}, errDown
	}
	f.make(d, updates)
	return f.end(d)
}

// fakeEmitter makes up to atOnce updates at once, and more one by one.
type fakeEmitter struct{ *fakeKeeper }

const atOnce = 3

func (f *fakeEmitter) Publish(_ context.Context, d sink.Delta) (sink.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	updates, err := f.begin(d)
	if err != nil {
		return sink.Mark{}, err
	}
	done := len(updates)
	if f.cut >= 0 && f.cut < len(updates) {
		done, f.cut = f.cut, -1
	}
	if len(updates) > atOnce {
		f.mark = d.Begun()
		f.make(d, updates[:done])
	}
	if done < len(updates) {
		return sink.Mark{}, errDown
	}
	f.make(d, updates)
	return f.end(d)
}
