package sinktest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// testInterrupted ends an export at each of its steps in turn, in each way, and
// then goes on as another process would.
func testInterrupted(t *testing.T, make func(t *testing.T) Snapshots) {
	atEachStep(t, func(t *testing.T, n int, how Interruption) bool { return interruptAt(t, make(t).(Faulty), n, how) })
}

// interruptAt reports whether there was a step to interrupt.
func interruptAt(t *testing.T, d Faulty, n int, how Interruption) bool {
	s := NewSample(ref)
	s.Fill(300)
	before := s.Snapshot()
	store := open(t, d)
	mustWrite(t, store, before, 1)

	s.Set("web", "nginx:1.27")
	d.Interrupt(n, how)
	_, err := write(t.Context(), store, s.Snapshot(), 2)
	interrupted := d.Interrupted()
	d.Interrupt(-1, how)
	if err != nil && !interrupted {
		t.Fatalf("an export that was not interrupted: %v", err)
	}
	if err == nil {
		mustRead(t, d, s.Snapshot(), 2)
	} else {
		got, readErr := d.Read(t.Context(), before.Inventory())
		if readErr != nil {
			t.Fatalf("read after %v: %v", err, readErr)
		}
		if !cmp.Equal(got, contentOf(before, 1)) && !cmp.Equal(got, contentOf(s.Snapshot(), 2)) {
			t.Fatalf("after %v a reader sees neither the old nor the new content, but %v", err, got)
		}
	}

	restarted := open(t, d)
	if _, err := restarted.Mark(t.Context(), before.Inventory()); err != nil {
		t.Fatalf("mark after a restart: %v", err)
	}
	s.Set("api", "nginx:1.28")
	mustWrite(t, restarted, s.Snapshot(), 3)
	mustRead(t, d, s.Snapshot(), 3)
	return interrupted
}

// testIdle compares what a confirmation writes with the size of the content.
func testIdle(t *testing.T, d Faulty) {
	store := open(t, d)
	cost := func(rows int, generation int64) (written int64) {
		s := NewSample(ref)
		s.Fill(rows)
		mark := mustWrite(t, store, s.Snapshot(), generation)
		before := d.Written()
		if _, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, at(generation+1)); err != nil {
			t.Fatal(err)
		}
		return d.Written() - before
	}
	small, large := cost(10, 1), cost(10_000, 2)
	if large > small+64 || small > 4096 {
		t.Errorf("confirming 10 rows writes %d bytes, 10,000 rows %d", small, large)
	}
}
