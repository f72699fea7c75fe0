package sinktest

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// TestRelational checks that a destination keeps the promises of
// sink.RelationalStore. make returns a new, empty destination.
func TestRelational(t *testing.T, make func(t *testing.T) Relational) {
	testKeepers(t, func(t *testing.T) keepers {
		d := make(t)
		k := keepers{read: d.Read, atomic: true}
		k.open = func(t *testing.T) keeper { store := d.Open(t); return keeper{store, store.Apply} }
		k.faults, _ = d.(Faults)
		return k
	})
	t.Run("shows readers whole exports", func(t *testing.T) { testWhole(t, make(t)) })
}

// TestEvents checks that a destination keeps the promises of sink.EventEmitter.
// make returns a new, empty destination.
func TestEvents(t *testing.T, make func(t *testing.T) Events) {
	testKeepers(t, func(t *testing.T) keepers {
		d := make(t)
		k := keepers{read: d.Read}
		k.open = func(t *testing.T) keeper { emitter := d.Open(t); return keeper{emitter, emitter.Publish} }
		k.faults, _ = d.(Faults)
		return k
	})
	t.Run("tells each change once", func(t *testing.T) { testOnce(t, make(t)) })
}

// keepers is a destination under test, of either role.
type keepers struct {
	open   func(t *testing.T) keeper
	read   func(ctx context.Context, of *inventory.Inventory) (*Content, error)
	faults Faults // nil: it has none
	atomic bool   // makes all updates or none
}

// keeper is a sink under test, of either role.
type keeper struct {
	sink.Keeper
	apply func(context.Context, sink.Delta) (sink.Mark, error)
}

func testKeepers(t *testing.T, make func(t *testing.T) keepers) {
	for name, test := range map[string]func(*testing.T, keepers){
		"exports what changes":               testDeltas,
		"exports an empty snapshot":          testEmptyDelta,
		"exports many rows at once":          testMany,
		"writes all rows for another schema": testSchema,
		"refuses an older or equal":          testOlder,
		"refuses another base":               testOtherBase,
		"refuses a delta that was applied":   testReplay,
		"fences a writer that was overtaken": testPaused,
		"confirms without writing rows":      testConfirmHeld,
		"confirms only what is held":         testConfirmNotHeld,
		"keeps inventories apart":            testKeptApart,
		"keeps odd names and values":         testOdd,
		"ends reading back when told to":     testHeldEnds,
		"writes nothing when cancelled":      testCancelledDelta,
		"settles what many writers do":       testSettles,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
	forgetting(t, func(t *testing.T) forgetful { return make(t).forgetful() })
	if make(t).faults != nil {
		t.Run("recovers when interrupted", func(t *testing.T) { testRecovers(t, make) })
		t.Run("never reads back a part", func(t *testing.T) { testHeldInterrupted(t, make(t)) })
		t.Run("costs what changes", func(t *testing.T) { testCost(t, make(t)) })
	}
}

// writer exports to a destination what changed since its last export.
type writer struct {
	keeper
	base *inventory.Base
	mark sink.Mark
}

// start opens the destination as another process would, and reads what it holds.
func (d keepers) start(t *testing.T, of *inventory.Inventory) *writer {
	t.Helper()
	w := &writer{keeper: d.open(t)}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	w.resume(t, of)
	return w
}

// resume forgets what was exported and reads it back.
func (w *writer) resume(t *testing.T, of *inventory.Inventory) {
	t.Helper()
	if err := w.tryResume(t.Context(), of); err != nil {
		t.Fatalf("resume: %v", err)
	}
}

func (w *writer) tryResume(ctx context.Context, of *inventory.Inventory) (err error) {
	if w.mark, err = w.Mark(ctx, of); err != nil {
		return err
	}
	rows, err := w.held(ctx, of)
	w.base = inventory.NewBase(rows)
	return err
}

func (w *writer) held(ctx context.Context, of *inventory.Inventory) (rows []inventory.Held, err error) {
	err = w.Held(ctx, of, func(h inventory.Held) error {
		rows = append(rows, h)
		return nil
	})
	return rows, err
}

// delta returns what brings the destination to the snapshot.
func (w *writer) delta(s *inventory.Snapshot, generation int64) sink.Delta {
	return sink.Delta{
		Inventory: s.Inventory(), Base: w.mark, Generation: generation, Time: at(generation),
		Hash: s.Hash().String(), Schema: w.Schema(s.Inventory()), Rows: int64(s.Len()), Updates: w.base.Diff(s, nil),
	}
}

func (w *writer) export(ctx context.Context, s *inventory.Snapshot, generation int64) error {
	mark, err := w.apply(ctx, w.delta(s, generation))
	if err == nil {
		w.mark, w.base = mark, inventory.BaseOf(s)
	}
	return err
}

// mustExport checks the mark that comes back and that Mark returns, and that the
// rows are there.
func (w *writer) mustExport(t *testing.T, d keepers, s *inventory.Snapshot, generation int64) {
	t.Helper()
	if err := w.export(t.Context(), s, generation); err != nil {
		t.Fatalf("export generation %d: %v", generation, err)
	}
	want := sink.Mark{
		Generation: generation, Hash: s.Hash().String(), Schema: w.Schema(s.Inventory()),
		Rows: int64(s.Len()), Time: at(generation),
	}
	if diff := cmp.Diff(want, w.mark); diff != "" {
		t.Fatalf("mark of the export: -want +got\n%s", diff)
	}
	d.mustHold(t, w.keeper, s, want)
}

// mustHold checks what the destination says of itself, and what a reader sees.
func (d keepers) mustHold(t *testing.T, k keeper, s *inventory.Snapshot, mark sink.Mark) {
	t.Helper()
	got, err := k.Mark(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("mark: %v", err)
	}
	if diff := cmp.Diff(mark, got); diff != "" {
		t.Fatalf("mark: -want +got\n%s", diff)
	}
	d.mustHoldRows(t, k, s)
	d.mustRead(t, s, mark.Generation)
}

func (d keepers) mustHoldRows(t *testing.T, k keeper, s *inventory.Snapshot) {
	t.Helper()
	rows, err := (&writer{keeper: k}).held(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("held: %v", err)
	}
	slices.SortFunc(rows, func(a, b inventory.Held) int { return a.Key.Compare(b.Key) })
	var want []inventory.Held
	for e := range s.All() {
		want = append(want, inventory.Held{Key: e.Key, Hash: e.Row.Hash(), Origin: e.Row.Origin()})
	}
	if !slices.Equal(want, rows) { // which is faster
		t.Fatalf("rows that are held: -want +got\n%s", cmp.Diff(want, rows))
	}
	if base := inventory.NewBase(rows); base.Hash() != s.Hash() {
		t.Fatalf("the rows that are held have hash %s, want %s", base.Hash(), s.Hash())
	}
}

func (d keepers) mustRead(t *testing.T, s *inventory.Snapshot, generation int64) {
	t.Helper()
	got, err := d.read(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	want := plain(contentOf(s, generation))
	if got = plain(got); got == nil || got.Generation != generation || !maps.Equal(want.Rows, got.Rows) { // which is faster
		t.Fatalf("a reader sees: -want +got\n%s", cmp.Diff(want, got))
	}
}
