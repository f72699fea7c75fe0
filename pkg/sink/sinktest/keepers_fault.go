package sinktest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
)

// testRecovers ends an export at each of its steps in turn, in each way, and then
// goes on both as another process would and as this one.
func testRecovers(t *testing.T, make func(t *testing.T) keepers) {
	atEachStep(t, func(t *testing.T, n int, how Interruption) bool { return recoverAt(t, make(t), n, how) })
}

// recoverAt reports whether there was a step to interrupt.
func recoverAt(t *testing.T, d keepers, n int, how Interruption) bool {
	s := NewSample(ref)
	s.Fill(300)
	s.Set("api", "nginx:1.27")
	before := s.Snapshot()
	of := before.Inventory()
	w := d.start(t, of)
	w.mustExport(t, d, before, 1)

	s.Set("web", "nginx:1.27")
	s.Set("api", "nginx:1.28")
	s.Delete("app-0000007")
	d.faults.Interrupt(n, how)
	err := w.export(t.Context(), s.Snapshot(), 2)
	interrupted := d.faults.Interrupted()
	d.faults.Interrupt(-1, how)
	if err != nil && !interrupted {
		t.Fatalf("an export that was not interrupted: %v", err)
	}
	if err == nil {
		d.mustHold(t, w.keeper, s.Snapshot(), w.mark)
	} else {
		d.mustHoldEither(t, before, s.Snapshot(), how, err)
	}

	restarted := d.start(t, of)
	s.Set("new", "nginx:1.28")
	restarted.mustExport(t, d, s.Snapshot(), 3)
	w.resume(t, of)
	s.Delete("new")
	w.mustExport(t, d, s.Snapshot(), 4)
	return interrupted
}

// mustHoldEither checks what a reader sees after an export that failed.
func (d keepers) mustHoldEither(t *testing.T, before, after *inventory.Snapshot, how Interruption, failure error) {
	t.Helper()
	got, err := d.read(t.Context(), before.Inventory())
	if err != nil {
		t.Fatalf("read after %v: %v", failure, err)
	}
	got = plain(got)
	old, next := plain(contentOf(before, 1)), plain(contentOf(after, 2))
	if d.atomic {
		if !cmp.Equal(got, old) && !(how == Unanswered && cmp.Equal(got, next)) {
			t.Fatalf("after %v a reader sees neither the old nor the new content, but %v", failure, got)
		}
		return
	}
	if got.Generation == 2 { // all of it was published
		if diff := cmp.Diff(next, got); diff != "" {
			t.Fatalf("after %v the mark is the new one, but: -want +got\n%s", failure, diff)
		}
	}
	for key, attributes := range got.Rows {
		if attributes != old.Rows[key] && attributes != next.Rows[key] {
			t.Errorf("after %v row %s is %s, was %s, and was to be %s", failure, key, attributes, old.Rows[key], next.Rows[key])
		}
	}
	for key := range old.Rows {
		if _, there := got.Rows[key]; !there && next.Rows[key] != "" {
			t.Errorf("after %v row %s is gone", failure, key)
		}
	}
}

// testHeldInterrupted ends reading back, and confirming, at each of its steps: a
// part of the rows must not pass for all.
func testHeldInterrupted(t *testing.T, d keepers) {
	s := NewSample(ref)
	s.Fill(500)
	of := s.Snapshot().Inventory()
	w := d.start(t, of)
	w.mustExport(t, d, s.Snapshot(), 1)
	for how := range interruptions {
		for n, more := 0, true; more; n++ {
			if n == maxSteps {
				t.Fatal("reading back has no end of steps")
			}
			d.faults.Interrupt(n, how)
			err := w.tryResume(t.Context(), of)
			more = d.faults.Interrupted()
			d.faults.Interrupt(-1, how)
			if err == nil && w.base.Hash() != s.Snapshot().Hash() {
				t.Fatalf("%d rows of 500 passed for all, interrupted (%d) at step %d", w.base.Len(), how, n)
			}
			if err != nil && !more {
				t.Fatalf("resume without an interruption: %v", err)
			}
		}
		w.resume(t, of)
		for n, more := 0, true; more && n < maxSteps; n++ {
			d.faults.Interrupt(n, how)
			_, err := w.Confirm(t.Context(), of, w.mark, at(int64(n)))
			more = d.faults.Interrupted()
			d.faults.Interrupt(-1, how)
			if err != nil && !more {
				t.Fatalf("confirm without an interruption: %v", err)
			}
			w.resume(t, of)
		}
	}
	d.mustHold(t, w.keeper, s.Snapshot(), w.mark)
}

// testCost compares what a change and a confirmation write with the size of the
// inventory.
func testCost(t *testing.T, d keepers) {
	cost := func(name string, rows int) (change, confirm int64) {
		s := NewSample(inventory.Ref{Namespace: "team-a", Name: name})
		s.Fill(rows)
		of := s.Snapshot().Inventory()
		w := d.start(t, of)
		w.mustExport(t, d, s.Snapshot(), 1)
		s.Set("web", "nginx:1.27")
		s.Delete("app-0000003")
		before := d.faults.Written()
		if err := w.export(t.Context(), s.Snapshot(), 2); err != nil {
			t.Fatal(err)
		}
		between := d.faults.Written()
		if _, err := w.Confirm(t.Context(), of, w.mark, at(3)); err != nil {
			t.Fatal(err)
		}
		return between - before, d.faults.Written() - between
	}
	cost("warm", 10)
	change, confirm := cost("small", 10)
	changeLarge, confirmLarge := cost("large", 10_000)
	if changeLarge > change+256 || change > 16<<10 {
		t.Errorf("two changes of 10 rows write %d bytes, of 10,000 rows %d", change, changeLarge)
	}
	if confirmLarge > confirm+64 || confirm > 4096 {
		t.Errorf("confirming 10 rows writes %d bytes, 10,000 rows %d", confirm, confirmLarge)
	}
}
