package inventory

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
)

// randomProgram returns a program for a machine.
func randomProgram(random *rand.Rand, size int) []byte {
	program := make([]byte, size)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

func TestStoreAgreesWithModel(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := run(t, randomProgram(random, 600))
		if len(m.log) == 0 {
			t.Fatal("nothing happened")
		}
	}
}

// Replicas that see the same rows in another order, in other batches and with
// other detours hold the same, byte by byte.
func TestReplicasAgree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 14))
	var rows []*Row
	for _, target := range testTargets {
		for i := range 150 {
			rows = append(rows, testRow(target, i, i))
		}
	}
	defs := make([]Inventory, len(testRefs))
	for i, ref := range testRefs {
		defs[i] = Inventory{Ref: ref, Cluster: "prod", Dedupe: Dedupe(i == 2)}
		for j, target := range testTargets {
			if j != i {
				defs[i].Targets = append(defs[i].Targets, *target)
			}
		}
	}
	replica := func() *State {
		s := NewStore(Options{})
		random.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		random.Shuffle(len(defs), func(i, j int) { defs[i], defs[j] = defs[j], defs[i] })
		defAt := random.Perm(len(rows))[:len(defs)] // some come before their rows, some after
		for rest := rows; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(100))
			s.Update(func(tx *Tx) {
				for _, row := range rest[:n] {
					tx.Put(testRow(testTargets[random.IntN(len(testTargets))], 200+random.IntN(50), 0), "")
					tx.Put(row, "")
					for i, at := range defAt {
						if row == rows[at] {
							tx.SetInventory(defs[i])
						}
					}
				}
			})
			rest = rest[n:]
		}
		s.Update(func(tx *Tx) {
			for _, target := range testTargets {
				for i := range 50 {
					tx.Remove(testRow(target, 200+i, 0))
				}
			}
		})
		return s.State()
	}
	first := replica()
	for range 10 {
		next := replica()
		for _, ref := range testRefs {
			a, b := first.Snapshot(ref), next.Snapshot(ref)
			if a.Hash() != b.Hash() || a.Len() == 0 || !sameContents(a, b) {
				t.Fatalf("%v: replicas hold %d rows, %v, and %d rows, %v", ref, a.Len(), a.Hash(), b.Len(), b.Hash())
			}
		}
	}
	hashes := map[ContentHash]bool{}
	for _, ref := range testRefs {
		hashes[first.Snapshot(ref).Hash()] = true
	}
	if len(hashes) != len(testRefs) {
		t.Error("inventories of different content have equal hashes")
	}
}

func sameContents(a, b *Snapshot) bool {
	next, stop := iter.Pull(b.All())
	defer stop()
	for e := range a.All() {
		other, ok := next()
		if !ok || e.Key != other.Key || e.Row.Hash() != other.Row.Hash() || e.Row.data != other.Row.data {
			return false
		}
	}
	_, more := next()
	return !more
}

// Readers and followers need no lock: what they hold stays as it is while the
// writer goes on.
func TestReadersWhileTheWriterWrites(t *testing.T) {
	s := NewStore(Options{})
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			var held *State
			var was [32]byte
			for !isClosed(stop) {
				state := s.State()
				for _, scope := range []Scope{Cluster, Namespaced} {
					for snapshot := range state.Snapshots(scope, "") {
						if err := agrees(snapshot, state.Version); err != nil {
							t.Error(err)
						}
					}
				}
				if held != nil && fingerprint(held) != was {
					t.Errorf("the state at version %d has changed", held.Version)
				}
				held, was = state, fingerprint(state)
			}
		})
	}
	cursor, err := s.Follow(s.State().Version)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	readers.Go(func() {
		for {
			select {
			case <-cursor.Ready():
			case <-stop:
				events = append(events, drain(cursor)...)
				return
			}
			next, version := cursor.Next()
			events = append(events, next...)
			if state := s.State(); state.Version < version {
				t.Errorf("events of version %d before their state", version)
			}
		}
	})
	writer := &machine{t: t, program: randomProgram(rand.New(rand.NewPCG(5, 5)), 3_000), model: newModel(), replayed: map[Ref]*replayedInventory{}}
	for len(writer.program) > 0 && !t.Failed() {
		s.Update(func(tx *Tx) { writer.step(tx) })
		s.Hold(s.State())
	}
	close(stop)
	readers.Wait()
	writer.model.check(t, s.State())
	for _, e := range events {
		writer.replay(e)
	}
	writer.checkReplay(s.State())
}

// agrees checks that a snapshot's head and rows agree.
func agrees(s *Snapshot, version uint64) error {
	rows, head := 0, s.Head()
	for e := range s.All() {
		rows++
		if e.Version > head.Version {
			return fmt.Errorf("row of version %d under a head of version %d", e.Version, head.Version)
		}
	}
	kinds := 0
	for _, k := range head.Kinds {
		kinds += k.Rows
	}
	if rows != head.Rows || rows != kinds || rows != s.Len() || head.Hash != s.Hash() || head.Version > version {
		return fmt.Errorf("%v has %d rows, its head says %d, its kinds %d", s.Inventory().Ref, rows, head.Rows, kinds)
	}
	return nil
}

func FuzzStore(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 7))
	for size := 8; size <= 128; size *= 2 {
		f.Add(randomProgram(random, size))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 512 {
			program = program[:512]
		}
		run(t, program)
	})
}
