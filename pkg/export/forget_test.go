package export

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/sink"
)

func TestWhatIsForgottenIsForgottenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.synced(true, false, "")
		f.put(rows(3)...)
		s := &fakeSink{}
		f.pair("lake", s, Settings{})
		f.wait(time.Minute)
		f.destination("lake", Forgetting(s), Settings{})
		f.wait(time.Second)
		state := f.state()
		if state.Outcome != Forgotten || state.LastError != "" || state.Rows != 0 {
			t.Errorf("state %+v, want Forgotten", state)
		}
		if mark := s.saw().mark; !mark.Forgotten || mark.Generation != 2 {
			t.Errorf("mark %+v, want Forgotten, above the export's generation", mark)
		}
		f.put(row("new", "1"))
		f.wait(10 * time.Minute)
		if n := s.saw().forgets; n != 1 {
			t.Errorf("forgotten %d times", n)
		}
		f.wantWrites(s, 1)

		// What is exported again is all of it.
		f.pair("lake", s, Settings{})
		f.wait(time.Minute)
		if state := f.state(); state.Outcome != Exported || state.Rows != 4 {
			t.Errorf("state %+v, want 4 rows", state)
		}
	})
}

func TestForgettingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.synced(true, false, "")
		s := &fakeSink{}
		fenced := 0
		s.fail = func(operation string) error {
			if operation != "forget" {
				return nil
			}
			if fenced++; fenced < 3 {
				return fmt.Errorf("somebody was faster: %w", sink.ErrFenced)
			}
			return errDown
		}
		f.destination("lake", Forgetting(s), Settings{})
		f.wait(10 * time.Second)
		if state := f.state(); state.Outcome != Failed || state.RetryTime.IsZero() {
			t.Errorf("state %+v, want Failed", state)
		}
		s.set(func() { s.fail = nil })
		f.wait(10 * time.Minute)
		if state, mark := f.state(), s.saw().mark; state.Outcome != Forgotten || mark.Generation < 3 {
			t.Errorf("state %+v and mark %+v, want Forgotten, above what was refused", state, mark)
		}

		// Another destination of that name is not forgotten yet.
		other := &fakeSink{}
		other.fail = func(string) error { return errDown }
		f.destination("lake", Forgetting(other), Settings{})
		if state := f.state(); state.Outcome == Forgotten {
			t.Errorf("state %+v of a destination that is down", state)
		}
	})
}

// An exporter that goes on while somebody has its inventory forgotten starts anew.
func TestAnExportOfWhatWasForgottenStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.synced(true, false, "")
		f.put(rows(5)...)
		store, emitter := newFakes(f)
		f.destination("table", FromRelationalStore(store), Settings{})
		f.destination("stream", FromEventEmitter(emitter), Settings{})
		f.wait(time.Second)
		for _, k := range []*fakeKeeper{store.fakeKeeper, emitter.fakeKeeper} {
			snapshot := f.store.State().Snapshot(ref)
			if err := k.Forget(t.Context(), snapshot.Inventory(), k.saw().mark.Generation+1, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		f.put(row("new", "1"))
		f.wait(time.Minute)
		for _, k := range []*fakeKeeper{store.fakeKeeper, emitter.fakeKeeper} {
			k.holds(f.store.State().Snapshot(ref))
		}
	})
}
