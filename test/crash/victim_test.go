package crash

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// terms returns how often the replica began, and ceased, to lead since it started,
// as far as it knows.
func (r *replica) terms() (begun, ended int) {
	log, _ := os.ReadFile(r.LogPath())
	return strings.Count(string(log), `"Leading: sinks and statuses`), strings.Count(string(log), `"Not leading any more"`)
}

func (r *replica) leads() bool {
	begun, ended := r.terms()
	return begun > ended
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

// longRun is how many rounds are enough for servers that take long to start again.
const longRun = 50

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
		if d, crashes := d.(crasher); crashes && (!d.slow() || *rounds >= longRun) {
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
	return slices.DeleteFunc(all, func(v victim) bool { return !strings.Contains(v.name, *only) })
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

// resume has a paused replica go on, and waits until it knows that it led no more.
func (s *scene) resume(leader *replica) {
	s.Helper()
	begun, _ := leader.terms()
	s.must(leader.Signal(syscall.SIGCONT))
	s.paused = nil
	s.until(func() error {
		if _, ended := leader.terms(); ended < begun {
			return fmt.Errorf("%s leads too", leader.name)
		}
		return nil
	})
}
