package export

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// eachKeeper runs a test of each role, of an inventory with two targets.
func eachKeeper(t *testing.T, test func(f *fixture, fake *fakeKeeper, export func())) {
	for _, role := range []string{"relational store", "event emitter"} {
		t.Run(role, func(t *testing.T) {
			bubble(t, func(f *fixture) {
				f.store.Update(func(tx *inventory.Tx) {
					inv := f.inventory(1)
					inv.Targets = append(inv.Targets, second)
					tx.SetInventory(inv)
				})
				store, emitter := newFakes(f)
				if role == "event emitter" {
					test(f, emitter.fakeKeeper, func() { f.destination("sink", FromEventEmitter(emitter), Settings{}) })
				} else {
					test(f, store.fakeKeeper, func() { f.destination("sink", FromRelationalStore(store), Settings{}) })
				}
			})
		})
	}
}

func (f *fixture) setTarget(ref inventory.TargetRef, synced bool, rows ...*inventory.Row) {
	f.store.Update(func(tx *inventory.Tx) {
		for _, r := range rows {
			tx.Put(r, "1")
		}
		tx.SetTargetState(ref, inventory.TargetState{Synced: synced, Message: "the resource does not exist"})
	})
	synctest.Wait()
}

// forget is what a restart of the process does to a target.
func (f *fixture) forget(ref inventory.TargetRef) {
	f.store.Update(func(tx *inventory.Tx) { tx.RemoveTarget(ref) })
	synctest.Wait()
}

func (f *fixture) snapshot() *inventory.Snapshot { return f.store.State().Snapshot(ref) }

func (f *fakeKeeper) wantDeltas(deltas, updates int) {
	f.t.Helper()
	if got := f.saw(); got.deltas != deltas || got.updates != updates {
		f.t.Errorf("%d deltas of %d updates in all, want %d of %d", got.deltas, got.updates, deltas, updates)
	}
}

func TestKeepersAreToldWhatChangesAndNoMore(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(50)...)
		f.setTarget(second, true)
		export()
		fake.wantDeltas(1, 50)
		f.put(row("pod-7", "2"))
		fake.wantDeltas(2, 51)
		f.remove(row("pod-7", "2"), row("pod-8", "1"))
		fake.wantDeltas(3, 53)
		fake.holds(f.snapshot())
		f.remove(rows(50)...)
		fake.wantDeltas(4, 101)
		fake.holds(f.snapshot())
		f.wait(61 * time.Second)
		if got := fake.saw(); got.confirms != 2 || got.helds != 1 {
			t.Errorf("%d confirmations and %d times read back, want 2 and once", got.confirms, got.helds)
		}
	})
}

func TestRestartWithUnchangedContentTellsKeepersNothing(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(50)...)
		f.setTarget(second, true, rowOf(&second, "job", "1"))
		export()
		f.stop()
		f.forget(target)
		f.forget(second)
		f.restart()
		export()
		f.wait(time.Second)
		f.setTarget(target, true, rows(50)...)
		f.wait(syncGrace - 2*time.Second)
		f.setTarget(second, true, rowOf(&second, "job", "1"))
		f.wait(time.Minute)
		fake.wantDeltas(1, 51)
		if got := fake.saw(); got.helds != 1 {
			t.Errorf("what is held was read back %d times, want not again", got.helds)
		}
		f.put(row("pod-7", "2"))
		fake.wantDeltas(2, 52)
		fake.holds(f.snapshot())
	})
}

func TestTargetsThatAreNotSyncedAreLeftAlone(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(3)...)
		f.setTarget(second, true, rowOf(&second, "job", "1"), rowOf(&second, "late", "1"))
		export()
		fake.wantDeltas(1, 5)
		f.restart()
		f.forget(second)
		f.setTarget(second, false, rowOf(&second, "job", "2"))
		f.put(row("pod-0", "2"))
		export()
		fake.wantDeltas(1, 5)
		f.wait(syncGrace)
		fake.wantDeltas(2, 6)
		want := "the other targets' rows are exported; waiting for targets team-a/jobs: the resource does not exist"
		if got := f.state(); got.Outcome != WaitingForTargets || got.LastError != want || got.Rows != 5 {
			t.Errorf("state %+v, want %q", got, want)
		}
		f.remove(row("pod-1", "1"))
		fake.wantDeltas(3, 7)
		f.wait(time.Hour)
		if got := fake.saw(); got.confirms != 0 {
			t.Errorf("%d confirmations of content that nobody can know to be current", got.confirms)
		}
		f.setTarget(second, true)
		fake.wantDeltas(4, 9) // job changed and late is gone
		fake.holds(f.snapshot())
		if got := f.state(); got.Outcome != Exported || got.LastError != "" {
			t.Errorf("state %+v, want exported", got)
		}
	})
}

func TestNothingIsWrittenWhileNoTargetIsSynced(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, false, rows(3)...)
		export()
		f.wait(time.Hour)
		fake.wantDeltas(0, 0)
		f.setTarget(target, true)
		fake.wantDeltas(1, 3)
	})
}

// The columns of a target that is not synced may not be known. If they were
// believed, each restart would write all rows twice.
func TestSchemaChangesWaitForTargets(t *testing.T) {
	columns := []inventory.Column{{Name: "image", Type: inventory.ColumnString}}
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.store.Update(func(tx *inventory.Tx) { tx.SetTarget(second, columns) })
		f.setTarget(target, true, rows(10)...)
		f.setTarget(second, true, rowOf(&second, "job", "1"))
		export()
		f.restart()
		f.forget(second)
		export()
		f.wait(2 * syncGrace)
		f.store.Update(func(tx *inventory.Tx) { tx.SetTarget(second, columns) })
		f.setTarget(second, true, rowOf(&second, "job", "1"))
		fake.wantDeltas(1, 11)

		f.setTarget(second, false)
		f.store.Update(func(tx *inventory.Tx) {
			tx.SetTarget(target, []inventory.Column{{Name: "replicas", Type: inventory.ColumnInteger}})
		})
		f.put(row("pod-0", "2"))
		fake.wantDeltas(2, 12)
		f.restart()
		export()
		f.setTarget(second, true)
		fake.wantDeltas(3, 23) // all rows are of another schema
		fake.holds(f.snapshot())
	})
}

// An emitter that is cut short holds a part of the new content, also if the
// content then becomes the old one again.
func TestWhatWasCutShortIsMended(t *testing.T) {
	for _, restart := range []bool{false, true} {
		eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
			f.setTarget(target, true, rows(10)...)
			f.setTarget(second, true)
			export()
			fake.set(func() { fake.cut = 5 })
			f.remove(rows(8)...)
			if got := f.state(); got.Outcome != Failed {
				t.Fatalf("state %+v, want a failure", got)
			}
			f.put(rows(8)...)
			if restart {
				f.restart()
				export()
			}
			f.wait(time.Minute)
			fake.holds(f.snapshot())
		})
	}
}

func TestFirstExportThatIsCutShortGoesOn(t *testing.T) {
	bubble(t, func(f *fixture) {
		_, emitter := newFakes(f)
		emitter.cut = 149
		f.setTarget(target, true, rows(150)...)
		f.destination("sink", FromEventEmitter(emitter), Settings{})
		f.wait(time.Minute)
		emitter.wantDeltas(2, 150+1)
		emitter.holds(f.snapshot())
	})
}

// The mark of what was cut short does not tell how many rows there are.
func TestMassDeleteAfterWhatWasCutShortIsHeldBack(t *testing.T) {
	bubble(t, func(f *fixture) {
		_, emitter := newFakes(f)
		emitter.cut = 149
		f.setTarget(target, true, rows(150)...)
		f.destination("sink", FromEventEmitter(emitter), Settings{})
		f.remove(rows(140)...)
		f.wait(time.Second)
		if got := f.state(); got.Outcome != MassDelete {
			t.Errorf("state %+v, want one that says what is held back", got)
		}
	})
}

func TestSchemaChangeThatIsCutShortAndTakenBackIsMended(t *testing.T) {
	bubble(t, func(f *fixture) {
		_, emitter := newFakes(f)
		columns := func(columns ...inventory.Column) {
			f.store.Update(func(tx *inventory.Tx) { tx.SetTarget(target, columns) })
			synctest.Wait()
		}
		f.setTarget(target, true, rows(10)...)
		f.destination("sink", FromEventEmitter(emitter), Settings{})
		emitter.set(func() { emitter.cut = 5 })
		columns(inventory.Column{Name: "image", Type: inventory.ColumnString})
		columns()
		f.wait(time.Minute)
		emitter.holds(f.snapshot())
	})
}

func TestLostAnswerIsReadFromTheMark(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(10)...)
		f.setTarget(second, true)
		export()
		fake.set(func() { fake.cut = 1 }) // as many as there are
		f.put(row("pod-0", "2"))
		f.wait(time.Minute)
		fake.wantDeltas(2, 11)
		if got := fake.saw(); got.helds != 1 {
			t.Errorf("what is held was read back %d times, want not again", got.helds)
		}
		fake.holds(f.snapshot())
	})
}

func TestKeepersThatAnotherWroteToAreMended(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(50)...)
		f.setTarget(second, true)
		export()
		left := 0
		fake.overwrite(500, func(inventory.Key) bool { left++; return left%5 > 0 })
		f.put(row("pod-0", "2"))
		f.wait(time.Second)
		fake.holds(f.snapshot())
		if got := fake.saw(); got.mark.Generation <= 501 || got.helds != 2 {
			t.Errorf("%d times read back under %+v, want once more and a higher generation", got.helds, got.mark)
		}
	})
}

func TestMassDeleteOfKeepersIsJudgedByRows(t *testing.T) {
	eachKeeper(t, func(f *fixture, fake *fakeKeeper, export func()) {
		f.setTarget(target, true, rows(101)...)
		f.setTarget(second, true)
		export()
		f.remove(rows(90)...)
		if got := f.state(); got.Outcome != MassDelete || !strings.Contains(got.LastError, "remove 90 of 101 rows") {
			t.Errorf("state %+v, want one that says what is held back", got)
		}
		fake.wantDeltas(1, 101)
		f.wait(minGuardWait)
		fake.holds(f.snapshot())
	})
}
