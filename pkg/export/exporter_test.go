package export

import (
	"errors"
	"fmt"
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

// What another process wrote before the mark was read may be newer than a snapshot
// from before.
func TestSnapshotIsOfAfterTheMark(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		s.fail = func(operation string) error {
			if operation == "mark" {
				f.store.Update(func(tx *inventory.Tx) { tx.Put(row("b", "1"), "1") })
			}
			return nil
		}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Hour})
		f.wantWrites(s, 1)
		if held := s.saw().held; len(held) != 2 {
			t.Errorf("the first export has %v", held)
		}
	})
}

// A leader that was paused may write once more what is newer than the snapshot that is
// about to be written: that is not written over, but taken again.
func TestNothingIsWrittenOverWhatCameMeanwhile(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		s.fail = func(operation string) error {
			if operation == "write" && s.mark.Generation == 0 {
				s.mark = sink.Mark{Generation: 50, Hash: "sha256:00", Rows: 2, Time: time.Now()}
				f.store.Update(func(tx *inventory.Tx) { tx.Put(row("b", "1"), "1") })
			}
			return nil
		}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Hour})
		f.wait(time.Minute)
		if saw := s.saw(); saw.marks != 2 || len(saw.writes) != 1 || saw.writes[0] <= 50 || len(saw.held) != 2 {
			t.Errorf("after %d looks the sink holds %v, by writes of generations %v", saw.marks, saw.held, saw.writes)
		}
	})
}

func TestContentIsNotConfirmedWhileATargetIsStale(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, true, "forbidden")
		f.pair("lake", s, Settings{MinInterval: 30 * time.Second})
		f.wantWrites(s, 1)
		f.wait(5 * time.Minute)
		if n := s.saw().confirms; n != 0 {
			t.Errorf("%d confirmations of content that nobody can know to be current", n)
		}
		f.synced(true, false, "")
		f.wait(31 * time.Second)
		if n := s.saw().confirms; n == 0 {
			t.Error("no confirmation once the target is watched again")
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

func TestAnotherClusterIsAnotherPlace(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		s.set(func() { s.mark = sink.Mark{} }) // nothing is held of the other cluster
		moved := f.inventory(1)
		moved.Cluster = "other"
		f.store.Update(func(tx *inventory.Tx) { tx.SetInventory(moved) })
		synctest.Wait()
		if got := s.saw(); got.marks != 2 || got.mark.Hash == "" {
			t.Errorf("the mark was read %d times and is %+v, want it read again and written", got.marks, got.mark)
		}
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

func TestPairThatIsRemovedAndSetBeginsWhenTheOldOneHasEnded(t *testing.T) {
	bubble(t, func(f *fixture) {
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		old := &fakeSink{fail: func(string) error { entered <- struct{}{}; <-leave; return errDown }}
		f.synced(true, false, "")
		f.pair("lake", old, Settings{})
		<-entered
		next, last := &fakeSink{}, &fakeSink{}
		for _, s := range []*fakeSink{next, last} {
			f.exporter.Remove(ref, "lake")
			f.pair("lake", s, Settings{})
		}
		if n := last.saw().marks; n != 0 {
			t.Errorf("the new loop called its sink %d times beside the old one", n)
		}
		close(leave)
		synctest.Wait()
		f.wantWrites(last, 1)
		f.exporter.Remove(ref, "lake")
		synctest.Wait()
		if n := len(f.exporter.ending); n != 0 {
			t.Errorf("%d ended loops are remembered", n)
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
