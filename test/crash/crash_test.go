package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Whatever crashes while objects change, and whenever: once it is quiet all
// destinations have what the API serves, deletions included. To the consumer of a
// stream nothing comes twice, or in the wrong order, and whoever reads files all the
// while sees whole snapshots, none older than the one before.
func TestDestinationsEqualTheRowsAfterCrashes(t *testing.T) {
	s := begin(t, "crashes")
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	fmt.Fprintf(t.Output(), "%d rounds, -seed=%d\n", *rounds, *seed)
	round := 1
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("in round %d; to try again: make soak SEED=%d", round, *seed)
		}
	})
	r := rand.New(rand.NewPCG(*seed, 0))
	victims, counts := s.victims(), map[string]int{}
	if len(victims) == 0 {
		t.Fatalf("nothing that crashes has -only=%s in its name", *only)
	}
	stop := s.follow()
	defer stop()
	var deck []int
	for ; round <= *rounds; round++ {
		if len(deck) == 0 { // each of them once, before one comes again
			deck = r.Perm(len(victims))
		}
		v := victims[deck[0]]
		deck = deck[1:]
		began := time.Now()
		s.round(round, v, r)
		counts[v.name]++
		fmt.Fprintf(t.Output(), "round %d of %d: %s, all equal after %s\n", round, *rounds, v.name, time.Since(began).Round(100*time.Millisecond))
	}
	stop()
	for _, d := range s.destinations {
		if d, ok := d.(interface{ replay() }); ok {
			d.replay()
		}
	}
	s.settle()
	for name, c := range s.contents() {
		fmt.Fprintf(t.Output(), "%s: generation %d, %d rows, %d events\n", name, c.Generation, len(c.Rows), c.Events)
	}
	fmt.Fprintf(t.Output(), "%d rounds without a difference, -seed=%d: %v\n", *rounds, *seed, counts)
}

// round has the victim crash while objects change, and waits until it is quiet.
func (s *scene) round(number int, v victim, r *rand.Rand) {
	s.Helper()
	if s.quiet != nil { // who was paused or late does nothing by now
		s.wantSame(s.quiet)
	}
	ctx, stop := context.WithCancel(s.Context())
	var churning sync.WaitGroup
	defer churning.Wait()
	defer stop()
	for worker := range uint64(2) {
		random := rand.New(rand.NewPCG(*seed, uint64(number)<<8|worker+1))
		churning.Go(func() { s.churn(ctx, random, fmt.Sprint(worker)) })
	}
	pause(ctx, time.Duration(r.Int64N(int64(500*time.Millisecond))))
	v.crash(s)
	pause(ctx, time.Duration(r.Int64N(int64(300*time.Millisecond))))
	stop()
	churning.Wait()
	s.settle()
	if s.quiet = s.contents(); s.Failed() {
		s.FailNow()
	}
}
