package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// leads reports whether the replica leads, as far as it knows.
func (r *replica) leads() bool {
	log, _ := os.ReadFile(r.LogPath())
	return strings.Count(string(log), `"Leading: sinks and statuses`) > strings.Count(string(log), `"Not leading any more"`)
}

// leader waits until one replica leads, and returns it and the other.
func (s *scene) leader() (leader, other *replica) {
	s.Helper()
	s.until(func() error {
		leader, other = s.replicas[0], s.replicas[1]
		if other.leads() {
			leader, other = other, leader
		}
		if !leader.leads() || other.leads() {
			return errors.New("it is not one replica that leads")
		}
		return nil
	})
	return leader, other
}

// victim is what crashes, and how.
type victim struct {
	name  string
	crash func(*scene)
}

// victims returns all that can crash.
func (s *scene) victims() []victim {
	all := []victim{
		{"leader killed", func(s *scene) {
			leader, _ := s.leader()
			s.must(leader.Kill())
			s.must(leader.Start(s.Context()))
		}},
		{"other replica killed", func(s *scene) {
			_, other := s.leader()
			s.must(other.Kill())
			s.must(other.Start(s.Context()))
		}},
		{"leader paused", func(s *scene) {
			leader, other := s.leader()
			s.pauseUntil(leader, other)
			s.resume(leader)
		}},
	}
	for _, d := range s.destinations {
		if d, crashes := d.(crasher); crashes {
			all = append(all, victim{d.name() + " killed", func(s *scene) {
				s.must(d.kill())
				s.must(d.up(s.Context()))
			}}, victim{"leader and " + d.name() + " killed", func(s *scene) {
				leader, other := s.leader()
				s.must(leader.Kill())
				s.must(d.kill())
				s.await(other) // without its destination
				s.must(d.up(s.Context()))
				s.must(leader.Start(s.Context()))
			}})
		}
	}
	return all
}

// await waits until a replica leads.
func (s *scene) await(r *replica) {
	s.Helper()
	s.until(func() error {
		if !r.leads() {
			return fmt.Errorf("%s does not lead", r.name)
		}
		return nil
	})
}

// pauseUntil pauses a replica until another leads.
func (s *scene) pauseUntil(leader, other *replica) {
	s.Helper()
	s.must(leader.Signal(syscall.SIGSTOP))
	s.paused = leader
	s.await(other)
}

// resume has a paused replica go on, and waits until it knows that it does not lead.
func (s *scene) resume(leader *replica) {
	s.Helper()
	s.must(leader.Signal(syscall.SIGCONT))
	s.paused = nil
	s.until(func() error {
		if leader.leads() {
			return fmt.Errorf("%s leads too", leader.name)
		}
		return nil
	})
}

// Whatever crashes while objects change, and whenever: once it is quiet all
// destinations have what the API serves, deletions included. To the consumer of a
// stream nothing comes twice, or in the wrong order.
func TestDestinationsEqualTheRowsAfterCrashes(t *testing.T) {
	s := begin(t, "crashes")
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 32)
	}
	fmt.Fprintf(t.Output(), "%d rounds, -seed=%d\n", *rounds, *seed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("-seed=%d", *seed)
		}
	})
	r := rand.New(rand.NewPCG(*seed, 0))
	victims, counts := s.victims(), map[string]int{}
	var deck []int
	for round := 1; round <= *rounds; round++ {
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
	for _, d := range s.destinations {
		if d, ok := d.(*stream); ok {
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
