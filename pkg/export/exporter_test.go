package export

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// bubble runs a test on a clock of its own.
func bubble(t *testing.T, test func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newFixture(t)) })
}

func TestUnchangedContentIsConfirmedNotRewritten(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: 30 * time.Second})
		f.wantWrites(s, 1)
		f.wait(29 * time.Second)
		if s.saw().confirms != 0 {
			t.Errorf("%d confirmations within the interval", s.saw().confirms)
		}
		f.wait(2 * time.Second)
		if s.saw().confirms != 1 {
			t.Errorf("%d confirmations after the interval, want 1", s.saw().confirms)
		}
		f.wait(5 * time.Minute)
		if s.saw().confirms != 11 {
			t.Errorf("%d confirmations after 331 s, want 11", s.saw().confirms)
		}
		f.wantWrites(s, 1)
		if s.saw().marks != 1 {
			t.Errorf("the mark was read %d times, want once", s.saw().marks)
		}
	})
}

func TestContentAndSpecChangesDoNotWaitForTheInterval(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Hour})
		f.put(row("a", "2"))
		f.wantWrites(s, 1, 2)
		f.store.Update(func(tx *inventory.Tx) { tx.SetInventory(f.inventory(2)) })
		synctest.Wait()
		f.wantWrites(s, 1, 2)
		if s.saw().confirms != 1 {
			t.Errorf("a change of the spec led to %d confirmations, want 1", s.saw().confirms)
		}
	})
}

func TestChangesBetweenWritesAreMergedAndNotDropped(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "0"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: 10 * time.Second, MinWriteInterval: 30 * time.Second})
		f.wantWrites(s, 1) // the first is immediate
		for i := range 25 {
			f.wait(time.Second)
			f.put(row("a", fmt.Sprint(i)))
		}
		f.wantWrites(s, 1)
		if got := f.state(); got.Outcome != Delayed || got.LastError != "" {
			t.Errorf("state %+v, want a delay without an error", got)
		}
		f.wait(5 * time.Second)
		f.wantWrites(s, 1, 2)
		if want := f.store.State().Snapshot(ref).Hash().String(); s.saw().mark.Hash != want {
			t.Errorf("the sink holds %s, want the last change %s", s.saw().mark.Hash, want)
		}
		f.wait(time.Minute)
		f.put(row("a", "late"))
		f.wantWrites(s, 1, 2, 3) // the interval was long over
	})
}

func TestNothingIsExportedBeforeEveryTargetIsSynced(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(false, false, "the resource does not exist")
		f.pair("lake", s, Settings{})
		f.wait(time.Hour)
		f.wantWrites(s)
		want := "waiting for targets team-a/web: the resource does not exist"
		if got := f.state(); got.LastError != want || got.Outcome != WaitingForTargets {
			t.Errorf("state %+v, want %q", got, want)
		}
		f.synced(true, false, "")
		f.wantWrites(s, 1)
		if got := f.state(); got.LastError != "" || got.Rows != 1 || got.Outcome != Exported {
			t.Errorf("state %+v, want one row and no error", got)
		}
		f.synced(true, true, "the API server is down") // rows are kept, and are exported
		f.put(row("b", "1"))
		f.wantWrites(s, 1, 2)
	})
}

func TestWhatIsEmptyAndSyncedIsExportedAsEmpty(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(rows(100)...)
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.remove(rows(100)...)
		f.wantWrites(s, 1, 2)
		if s.saw().mark.Rows != 0 {
			t.Errorf("the sink holds %d rows, want none", s.saw().mark.Rows)
		}
	})
}

func TestMassDeleteWaitsForASecondSnapshot(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(rows(101)...)
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinWriteInterval: 10 * time.Second})
		f.wait(time.Minute)
		f.remove(rows(90)...)
		f.wantWrites(s, 1)
		if got := f.state(); got.Outcome != MassDelete || !strings.Contains(got.LastError, "remove 90 of 101 rows") {
			t.Errorf("state %+v, want one that says what is held back", got)
		}
		f.put(rows(101)...) // they come back
		f.wait(time.Minute)
		f.wantWrites(s, 1)
		f.remove(rows(101)...)
		f.wait(9 * time.Second)
		f.wantWrites(s, 1)
		f.wait(time.Second)
		f.wantWrites(s, 1, 2)
		if s.saw().mark.Rows != 0 {
			t.Errorf("the sink holds %d rows, want none", s.saw().mark.Rows)
		}
	})
}

func TestMassDeleteIsJudgedByWhatTheSinkHolds(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{record: record{mark: sink.Mark{Generation: 7, Hash: "sha256:x", Rows: 1000}}}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wantWrites(s)
		f.pair("free", s, Settings{AllowMassDelete: true})
		f.wantWrites(s, 8)
	})
}

func TestRestartWithUnchangedContentWritesNothing(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Minute})
		f.restart()
		f.pair("lake", s, Settings{MinInterval: time.Minute})
		f.wantWrites(s, 1)
		if s.saw().confirms != 0 || f.reserver.count() != 1 {
			t.Errorf("%d confirmations and %d reservations, want 0 and 1", s.saw().confirms, f.reserver.count())
		}
		if got := f.state(); got.Generation != 1 || got.Hash != s.saw().mark.Hash {
			t.Errorf("state %+v, want what the sink holds", got)
		}
		f.put(row("a", "2"))
		f.wantWrites(s, 1, 101) // a gap, and never the first block again
	})
}

func TestSchemaChangeIsWrittenAgain(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{schema: "v1"}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.restart()
		s.set(func() { s.schema = "v2" })
		f.pair("lake", s, Settings{})
		f.wantWrites(s, 1, 101)
	})
}

func TestFencedByAnotherTakesAHigherGenerationOnlyWhileLeading(t *testing.T) {
	bubble(t, func(f *fixture) {
		var leads atomic.Bool
		leads.Store(true)
		f.restart(func(o *Options) { o.Leading = func(context.Context) (bool, error) { return leads.Load(), nil } })
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Hour})
		s.set(func() { s.mark.Generation, s.mark.Hash = 500, "sha256:theirs" })
		f.put(row("a", "2"))
		f.wait(time.Second)
		f.wantWrites(s, 1, 501)

		leads.Store(false)
		s.set(func() { s.mark.Generation, s.mark.Hash = 900, "sha256:theirs" })
		f.put(row("a", "3"))
		f.wantWrites(s, 1, 501)
		if got := f.state(); got.Outcome != Fenced || got.RetryTime.IsZero() {
			t.Errorf("state %+v, want fenced with a time to retry", got)
		}
	})
}

func TestGenerationThatWasCutShortIsNotTriedForEver(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{begun: 1}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(time.Second)
		f.wantWrites(s, 2)
		if got := f.state(); got.Outcome != Exported {
			t.Errorf("state %+v, want exported", got)
		}
	})
}

func TestFencedThreeTimesBacksOff(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{fail: func(operation string) error {
			if operation == "write" {
				return sink.ErrFenced
			}
			return nil
		}}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(400 * time.Millisecond)
		if got := f.state(); got.Outcome != Fenced {
			t.Errorf("state %+v, want fenced", got)
		}
		if s.saw().marks != maxFenced {
			t.Errorf("the mark was read %d times, want before each of %d attempts", s.saw().marks, maxFenced)
		}
		f.wait(time.Hour)
		if s.saw().marks > 40 {
			t.Errorf("%d attempts in an hour", s.saw().marks)
		}
	})
}

func TestFailuresAreRetriedEverLater(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		var attempts []time.Duration
		start := time.Now()
		s.fail = func(string) error {
			attempts = append(attempts, time.Since(start))
			return errDown
		}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.put(row("a", "2")) // no reason to try again at once
		f.wait(time.Hour)
		var at []time.Duration
		s.set(func() { at = slices.Clone(attempts) })
		if len(at) < 15 || len(at) > 35 {
			t.Errorf("%d attempts in an hour", len(at))
		}
		for i := 2; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < 500*time.Millisecond || gap > maxBackoff {
				t.Errorf("%v between two attempts", gap)
			}
		}
		got := f.state()
		if got.Outcome != Failed || strings.Contains(got.LastError, "secret") || !strings.Contains(got.LastError, "connection refused") {
			t.Errorf("state %+v, want the error without its secret", got)
		}
		if wait := time.Until(got.RetryTime); wait <= 0 || wait > maxBackoff {
			t.Errorf("the next attempt is in %v", wait)
		}
		s.set(func() { s.fail = nil })
		f.wait(maxBackoff)
		f.wantWrites(s, 1)
	})
}

func TestPermanentErrorsWaitForTheConfiguration(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{fail: func(string) error { return sink.Permanent(errors.New("no such bucket")) }}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(5 * time.Minute)
		if s.saw().marks != 1 || !f.state().Permanent {
			t.Errorf("%d attempts, want 1, and a permanent error: %+v", s.saw().marks, f.state())
		}
		s.set(func() { s.fail = nil })
		f.pair("lake", s, Settings{}) // the configuration changed
		f.wantWrites(s, 1)
	})
}

func TestASinkThatPanicsIsAFailedSink(t *testing.T) {
	bubble(t, func(f *fixture) {
		bad := &fakeSink{crash: func() { panic("boom") }}
		good := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("bad", bad, Settings{})
		f.pair("good", good, Settings{})
		f.wantWrites(good, 1)
		if got := f.state(); !strings.Contains(got.LastError, "boom") {
			t.Errorf("state %+v, want the panic", got)
		}
	})
}

func TestADeadSinkDelaysNoOther(t *testing.T) {
	bubble(t, func(f *fixture) {
		block := make(chan struct{})
		dead := &fakeSink{fail: func(string) error { <-block; return errDown }}
		live := &fakeSink{}
		f.put(row("a", "0"))
		f.synced(true, false, "")
		f.pair("dead", dead, Settings{})
		f.pair("live", live, Settings{})
		for i := range 5 {
			f.put(row("a", fmt.Sprint("change ", i)))
		}
		f.wantWrites(live, 1, 2, 3, 4, 5, 6)
		close(block)
		synctest.Wait()
		dead.set(func() { dead.fail = nil })
		f.wait(maxBackoff)
		f.wantWrites(dead, 6) // the same generation for the same content
		if dead.saw().mark.Hash != live.saw().mark.Hash {
			t.Errorf("the sinks hold %s and %s", dead.saw().mark.Hash, live.saw().mark.Hash)
		}
	})
}

func TestReplacedPairBeginsWhenTheOldOneHasEnded(t *testing.T) {
	bubble(t, func(f *fixture) {
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		old := &fakeSink{fail: func(string) error { entered <- struct{}{}; <-leave; return errDown }}
		var released atomic.Bool
		f.synced(true, false, "")
		f.exporter.Set(Pair{Inventory: ref, Sink: "lake", Destination: FromSnapshotStore(old), Release: func() { released.Store(true) }})
		<-entered
		next, last := &fakeSink{}, &fakeSink{}
		f.pair("lake", next, Settings{})
		f.pair("lake", last, Settings{})
		f.wantWrites(last)
		if released.Load() {
			t.Error("released while in use")
		}
		close(leave)
		synctest.Wait()
		f.wantWrites(next)
		f.wantWrites(last, 1)
		if !released.Load() {
			t.Error("not released")
		}
		f.exporter.Remove(ref, "lake")
		f.put(row("a", "1"))
		f.wantWrites(last, 1)
		if states := f.exporter.States(ref); len(states) != 0 {
			t.Errorf("states after the removal: %v", states)
		}
	})
}

func TestEndedExporterReleasesEverything(t *testing.T) {
	bubble(t, func(f *fixture) {
		var released atomic.Int32
		add := func(name string) {
			f.exporter.Set(Pair{Inventory: ref, Sink: name, Destination: FromSnapshotStore(&fakeSink{}), Release: func() { released.Add(1) }})
		}
		add("a")
		add("b")
		f.stop()
		add("c")
		if released.Load() != 3 {
			t.Errorf("%d destinations released, want 3", released.Load())
		}
	})
}

func TestReservationFailureIsShownAndRetried(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.reserver.err = errors.New("the API server is down")
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(time.Minute)
		f.wantWrites(s)
		if got := f.state(); !strings.Contains(got.LastError, "reserve a generation: the API server is down") {
			t.Errorf("state %+v", got)
		}
		f.reserver.mu.Lock()
		f.reserver.err = nil
		f.reserver.mu.Unlock()
		f.wait(maxBackoff)
		f.wantWrites(s, 1)
	})
}

// Whatever happens in whatever order, the destinations end up with the last
// snapshot, and the generations that each was given only rise.
func TestDestinationsEndWithTheLastSnapshot(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(f *fixture) { randomHistory(f, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomHistory(f *fixture, r *rand.Rand) {
	sinks := map[string]*fakeSink{"a": {}, "b": {}}
	settings := map[string]Settings{
		"a": {MinInterval: 10 * time.Second},
		"b": {MinInterval: 20 * time.Second, MinWriteInterval: 15 * time.Second},
	}
	start := func() {
		for name, s := range sinks {
			f.exporter.Set(Pair{Inventory: ref, Sink: name, Destination: FromSnapshotStore(s), Settings: settings[name]})
		}
	}
	start()
	f.synced(true, false, "")
	all := rows(300)
	for range 60 {
		name := []string{"a", "b"}[r.IntN(2)]
		s := sinks[name]
		switch r.IntN(9) {
		case 0:
			f.put(all[:r.IntN(len(all))]...)
		case 1:
			f.remove(all[r.IntN(len(all)):]...)
		case 2, 3:
			f.put(row(fmt.Sprint("pod-", r.IntN(20)), fmt.Sprint(r.IntN(3))))
		case 4:
			f.synced(r.IntN(3) > 0, r.IntN(2) > 0, "")
		case 5:
			f.restart()
			start()
		case 6: // dies after the write, before it hears of it
			s.set(func() {
				s.crash = func() { s.crash = nil; panic("lost the connection") }
			})
		case 7:
			failing := r.IntN(2) == 0
			s.set(func() {
				s.fail = nil
				if failing {
					s.fail = func(string) error { return errDown }
				}
			})
		case 8:
			f.wait(time.Duration(r.IntN(60)) * time.Second)
		}
		synctest.Wait()
	}
	for _, s := range sinks {
		s.set(func() { s.fail, s.crash = nil, nil })
	}
	f.synced(true, false, "")
	f.wait(time.Hour)
	last := f.store.State().Snapshot(ref)
	for name, s := range sinks {
		if s.saw().mark.Hash != last.Hash().String() || !slices.Equal(s.saw().held, names(last)) {
			f.Errorf("sink %s holds %d rows of %s, want %d of %s", name, len(s.saw().held), s.saw().mark.Hash, last.Len(), last.Hash())
		}
		for i, g := range s.saw().writes {
			if i > 0 && g <= s.saw().writes[i-1] {
				f.Errorf("sink %s: generations %v do not rise", name, s.saw().writes)
				break
			}
		}
	}
}
