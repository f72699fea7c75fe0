package export

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// second is a target beside target, of the same inventory.
var second = inventory.TargetRef{Namespace: "team-a", Name: "jobs"}

// Whatever happens in whatever order, keepers end up with the last snapshot, of
// its schema. They are never told what they know, nor anything of a target that is
// not synced; the fakes check that.
func TestKeepersEndWithTheLastSnapshot(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(f *fixture) {
				store, emitter := newFakes(f)
				if seed%2 == 0 {
					emitter.refuses = func(r *inventory.Row) bool { return strings.Contains(r.Attributes(), `"2"`) }
				}
				h := &keeperHistory{
					fixture: f, Rand: rand.New(rand.NewPCG(seed, 2)),
					fakes: []*fakeKeeper{store.fakeKeeper, emitter.fakeKeeper},
				}
				h.start = func() {
					f.destination("store", FromRelationalStore(store), Settings{MinInterval: 10 * time.Second})
					f.destination("emitter", FromEventEmitter(emitter), Settings{MinInterval: 20 * time.Second, AllowMassDelete: true})
				}
				h.run()
			})
		})
	}
}

// keeperHistory is a random history of two targets and some keepers.
type keeperHistory struct {
	*fixture
	*rand.Rand
	fakes []*fakeKeeper
	start func()
}

func (h *keeperHistory) run() {
	h.store.Update(func(tx *inventory.Tx) {
		inv := h.inventory(1)
		inv.Targets = append(inv.Targets, second)
		tx.SetInventory(inv)
	})
	h.start()
	h.sync(target)
	h.sync(second)
	for range 80 {
		synctest.Wait()
		h.step()
	}
	for _, fake := range h.fakes {
		fake.set(func() { fake.fail, fake.cut = nil, -1 })
	}
	h.sync(target)
	h.sync(second)
	h.wait(time.Hour)
	last := h.store.State().Snapshot(ref)
	for i, fake := range h.fakes {
		if fake.holds(last); h.Failed() {
			h.Fatalf("that was fake %d", i)
		}
	}
}

func (h *keeperHistory) step() {
	fake := h.fakes[h.IntN(len(h.fakes))]
	targets := []inventory.TargetRef{target, second}
	of := targets[h.IntN(2)]
	switch h.IntN(12) {
	case 0:
		h.put(h.rowsOf(of, 100)...)
	case 1:
		h.remove(h.rowsOf(of, 300)...)
	case 2, 3, 4:
		h.put(h.rowsOf(of, 3)...)
	case 5:
		h.lose(of)
	case 6:
		h.sync(of)
	case 7:
		h.restart()
		h.start()
	case 8:
		fake.set(func() { fake.cut = h.IntN(5) * h.IntN(5) })
	case 9:
		failing := []string{"", "", "mark", "held", "apply", "confirm"}[h.IntN(6)]
		fake.set(func() {
			fake.fail = func(operation string) error {
				if operation == failing {
					return errDown
				}
				return nil
			}
		})
	case 10:
		h.wait(time.Duration(h.IntN(60)) * time.Second)
	case 11:
		if h.IntN(2) == 0 {
			h.columns(of)
		} else {
			lost := h.IntN(256)
			fake.overwrite(1+h.Int64N(200), func(k inventory.Key) bool { return int(k[0]) != lost })
		}
	}
}

func (h *keeperHistory) rowsOf(of inventory.TargetRef, most int) []*inventory.Row {
	var rows []*inventory.Row
	for range 1 + h.IntN(most) {
		rows = append(rows, rowOf(&of, fmt.Sprint("pod-", h.IntN(200)), fmt.Sprint(h.IntN(3))))
	}
	return rows
}

// lose makes a target one whose first list is not complete, as after a restart:
// of its rows and columns there are none or some.
func (h *keeperHistory) lose(of inventory.TargetRef) {
	most := 200 * h.IntN(2)
	h.store.Update(func(tx *inventory.Tx) {
		if h.IntN(2) == 0 {
			tx.RemoveTarget(of)
		}
		tx.SetTargetState(of, inventory.TargetState{Stale: h.IntN(2) == 0})
		for _, r := range h.rowsOf(of, most+1) {
			tx.Put(r, "1")
		}
	})
}

func (h *keeperHistory) sync(of inventory.TargetRef) {
	h.store.Update(func(tx *inventory.Tx) {
		if h.IntN(2) == 0 {
			for _, r := range h.rowsOf(of, 200) {
				tx.Put(r, "1")
			}
		}
		tx.SetTargetState(of, inventory.TargetState{Synced: true})
	})
}

func (h *keeperHistory) columns(of inventory.TargetRef) {
	all := []inventory.Column{{Name: "image", Type: inventory.ColumnString}, {Name: "replicas", Type: inventory.ColumnInteger}}
	h.store.Update(func(tx *inventory.Tx) { tx.SetTarget(of, slices.Clone(all[:h.IntN(3)])) })
}
