package export

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

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
