package sinktest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

func testDeltas(t *testing.T, d keepers) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	w := d.start(t, of)
	if w.mark != (sink.Mark{}) || w.base.Len() != 0 {
		t.Fatalf("an empty destination holds %+v and %d rows", w.mark, w.base.Len())
	}
	steps := []func(){
		func() { s.Set("web", "nginx:1.27"); s.Set("api", "nginx:1.27") },
		func() { s.Set("web", "nginx:1.28") },
		func() { s.Delete("api") },
		func() { s.Set("api", "nginx:1.29"); s.Set("web", "nginx:1.27"); s.Set("new", "nginx:1.29") },
		func() { s.Fill(2000) },
		func() { s.Delete("web", "app-0000003"); s.Set("app-0000004", "nginx:1.30") },
		func() { s.Delete() },
		func() { s.Set("web", "nginx:1.28") },
	}
	for i, step := range steps {
		step()
		w.mustExport(t, d, s.Snapshot(), int64(7+3*i)) // gaps are fine
		if i%2 == 1 {
			w = d.start(t, of)
		}
	}
}

func testEmptyDelta(t *testing.T, d keepers) {
	s := NewSample(ref)
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	w = d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 2)
}

// testMany exports more than any destination takes in one piece.
func testMany(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(5_000)
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	s.Delete()
	s.Set("web", "nginx:1.27")
	w.mustExport(t, d, s.Snapshot(), 2)
}

// testSchema adds a promoted attribute, and takes it away again.
func testSchema(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(50)
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	for i, columns := range [][]inventory.Column{
		{{Name: "image", Type: inventory.ColumnString}, {Name: "ports", Type: inventory.ColumnString}},
		{},
		{{Name: "image", Type: inventory.ColumnInteger}},
		SampleColumns,
	} {
		s.Promote(columns...)
		w.base = w.base.Unknown()
		w.mustExport(t, d, s.Snapshot(), int64(2+i))
	}
}

func testOlder(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	held := s.Snapshot()
	w := d.start(t, held.Inventory())
	w.mustExport(t, d, held, 5)
	s.Set("web", "nginx:1.28")
	for _, generation := range []int64{5, 4, 1} {
		err := w.export(t.Context(), s.Snapshot(), generation)
		mustBeFenced(t, err)
		if sink.IsPermanent(err) {
			t.Errorf("the error is permanent: %v", err)
		}
	}
	d.mustHold(t, w.keeper, held, w.mark)
}

func testOtherBase(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	held := s.Snapshot()
	w := d.start(t, held.Inventory())
	first := *w
	first.mark.Generation = 1 // nothing is held
	mustBeFenced(t, first.export(t.Context(), held, 2))
	w.mustExport(t, d, held, 3)
	s.Set("web", "nginx:1.28")
	for _, base := range []int64{0, 2, 4} {
		other := *w
		other.mark.Generation = base
		mustBeFenced(t, other.export(t.Context(), s.Snapshot(), 9))
	}
	d.mustHold(t, w.keeper, held, w.mark)
	w.mustExport(t, d, s.Snapshot(), 9)
}

func testReplay(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(20)
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	s.Set("web", "nginx:1.27")
	s.Delete("app-0000003")
	delta := w.delta(s.Snapshot(), 2)
	w.mustExport(t, d, s.Snapshot(), 2)
	for _, k := range []keeper{w.keeper, d.start(t, s.Snapshot().Inventory()).keeper} {
		_, err := k.apply(t.Context(), delta)
		mustBeFenced(t, err)
		d.mustHold(t, k, s.Snapshot(), w.mark)
	}
}

// testPaused is a leader that was paused while another took over.
func testPaused(t *testing.T, d keepers) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	paused := d.start(t, of)
	s.Set("web", "nginx:1.27")
	s.Set("api", "nginx:1.27")
	paused.mustExport(t, d, s.Snapshot(), 1)
	old := s.Snapshot()
	s.Set("web", "nginx:1.28")
	s.Delete("api")
	leader := d.start(t, of)
	leader.mustExport(t, d, s.Snapshot(), 3)
	for _, generation := range []int64{2, 3, 4} {
		mustBeFenced(t, paused.export(t.Context(), old, generation))
	}
	_, err := paused.Confirm(t.Context(), of, paused.mark, at(9))
	mustBeFenced(t, err)
	d.mustHold(t, paused.keeper, s.Snapshot(), leader.mark)
}

func testConfirmHeld(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(100)
	of := s.Snapshot().Inventory()
	w := d.start(t, of)
	w.mustExport(t, d, s.Snapshot(), 1)
	for _, minute := range []int64{10, 11, 12, 3} { // a clock that went back changes nothing
		if at(minute).After(w.mark.Time) {
			w.mark.Time = at(minute)
		}
		got, err := w.Confirm(t.Context(), of, w.mark, at(minute))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w.mark, got); diff != "" {
			t.Fatalf("mark of the confirmation: -want +got\n%s", diff)
		}
		d.mustHold(t, w.keeper, s.Snapshot(), w.mark)
	}
	s.Set("web", "nginx:1.27")
	w.mustExport(t, d, s.Snapshot(), 20)
}

func testConfirmNotHeld(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	of := s.Snapshot().Inventory()
	w := d.start(t, of)
	_, err := w.Confirm(t.Context(), of, sink.Mark{Generation: 1, Hash: s.Snapshot().Hash().String(), Schema: w.Schema(of)}, at(1))
	mustBeFenced(t, err)
	w.mustExport(t, d, s.Snapshot(), 2)
	for _, other := range []sink.Mark{
		{},
		{Generation: 1, Hash: w.mark.Hash, Schema: w.mark.Schema},
		{Generation: 3, Hash: w.mark.Hash, Schema: w.mark.Schema},
		{Generation: 2, Hash: "sha256:00", Schema: w.mark.Schema},
	} {
		_, err := w.Confirm(t.Context(), of, other, at(5))
		mustBeFenced(t, err)
	}
	d.mustHold(t, w.keeper, s.Snapshot(), w.mark)
}

func testHeldEnds(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(3000)
	w := d.start(t, s.Snapshot().Inventory())
	w.mustExport(t, d, s.Snapshot(), 1)
	for range 3 {
		n := 0
		err := w.Held(t.Context(), s.Snapshot().Inventory(), func(inventory.Held) error {
			if n++; n == 7 {
				return errEnough
			}
			return nil
		})
		if err != errEnough || n != 7 {
			t.Fatalf("error is %v after %d rows", err, n)
		}
	}
	d.mustHoldRows(t, w.keeper, s.Snapshot())
}

// testCancelledDelta cancels before an export, and in the midst of one.
func testCancelledDelta(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(10)
	held := s.Snapshot()
	w := d.start(t, held.Inventory())
	w.mustExport(t, d, held, 1)
	s.Fill(5000)
	for i, after := range []int{0, 1, 2500} {
		ctx, cancel := context.WithCancel(t.Context())
		delta := w.delta(s.Snapshot(), int64(2+i))
		updates := delta.Updates
		delta.Updates = func(yield func(inventory.Update) bool) {
			n := 0
			for u := range updates {
				if n++; n == after {
					cancel()
				}
				if !yield(u) {
					return
				}
			}
		}
		if after == 0 {
			cancel()
		}
		if _, err := w.apply(ctx, delta); err == nil {
			t.Fatalf("an export that was cancelled after %d updates succeeded", after)
		}
		cancel()
		if d.atomic {
			d.mustHold(t, w.keeper, held, w.mark)
		}
	}
	w.resume(t, held.Inventory())
	if d.atomic && w.mark.Generation != 1 {
		t.Fatalf("mark is %+v", w.mark)
	}
	w.mustExport(t, d, s.Snapshot(), 9)
}
