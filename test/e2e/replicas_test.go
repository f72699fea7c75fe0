package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/pkg/generated/clientset/versioned"
	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
)

// takeover bounds how long it takes until another replica leads: the lease of 15
// seconds, two tries to get it, and what a loaded machine adds.
const takeover = 30 * time.Second

// replica is a server that takes part in the election.
type replica struct {
	*controlplane.Kollect
	name   string
	client versioned.Interface // of this very server
}

func (s *scene) startReplica(name string) *replica {
	s.Helper()
	server, err := s.cp.StartKollect(s.Context(), controlplane.KollectOptions{
		Binary: s.binary, Name: name, ClusterName: clusterName, Args: []string{"-v=2"},
	})
	s.must(err)
	client, _, err := clientsOf(server.Config())
	s.must(err)
	return &replica{server, name, client}
}

// terms returns how often a replica began, and ceased, to lead since it started.
func (r *replica) terms() (begun, ended int) {
	log := logOf(r.LogPath())
	return strings.Count(log, `"Leading: sinks and statuses`), strings.Count(log, `"Not leading any more"`)
}

func (r *replica) leads() bool {
	begun, ended := r.terms()
	return begun > ended
}

// signal sends a signal to the replica's process.
func (s *scene) signal(r *replica, signal syscall.Signal) {
	s.Helper()
	processes := s.cp.Processes()
	i := slices.IndexFunc(processes, func(p controlplane.Process) bool { return p.Name == r.name && p.Running })
	if i < 0 {
		s.Fatalf("%s does not run", r.name)
	}
	s.must(syscall.Kill(processes[i].PID, signal))
}

// wantTakeover waits until the replica leads, and fails if that took long.
func (s *scene) wantTakeover(r *replica) {
	s.Helper()
	began := time.Now()
	s.until(func() error {
		if !r.leads() {
			return fmt.Errorf("%s does not lead", r.name)
		}
		return nil
	})
	took := time.Since(began)
	s.Logf("%s leads after %s", r.name, took.Round(time.Second))
	if took > takeover {
		s.Errorf("%s leads after %s, want at most %s", r.name, took, takeover)
	}
}

// All replicas serve the same content, one exports it. When that one is gone, or
// hangs, another takes over, and writes nothing that did not change.
func TestReplicasServeTheSameAndOneExports(t *testing.T) {
	s := begin(t, "replicas")
	s.stop(s.server.Stop) // it exports whoever else does
	a, b := s.startReplica("replica-a"), s.startReplica("replica-b")
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range []*replica{a, b} {
				t.Logf("the end of the log of %s:\n%s", r.name, child.Tail(r.LogPath(), 40))
			}
		}
		s.must(a.Stop())
		s.must(b.Stop())
	})
	s.must(a.Register(t.Context()))
	at := s.exports(s.ns, "lake")
	contents := 0
	var latest pointer
	// change makes a new content, and waits until replicas serve it and the sink
	// has it.
	change := func(replicas ...*replica) {
		t.Helper()
		contents++
		s.put("one", fmt.Sprint(contents))
		latest = s.wantExport(at, above(latest.Generation, 1))
		for _, r := range replicas {
			s.until(func() error {
				head, err := r.client.InventoryV1alpha1().Inventories(s.ns).Get(t.Context(), "lake", metav1.GetOptions{})
				if err == nil && (head.Status.ContentHash != latest.ContentHash || head.Status.Generation != latest.Generation) {
					err = fmt.Errorf("%s serves generation %d of %s, want %+v", r.name, head.Status.Generation, head.Status.ContentHash, latest)
				}
				return err
			})
		}
	}
	s.put("one", "0")
	s.apply(settings + exported("lake", "json"))
	contents++
	latest = s.wantExport(at, above(0, 1))
	change(a, b)
	change(a, b)
	leader, other := a, b
	if b.leads() {
		leader, other = b, a
	}
	if !leader.leads() || other.leads() {
		t.Fatalf("leading: %s %t, %s %t, want one of them", leader.name, leader.leads(), other.name, other.leads())
	}

	t.Log("the leader crashes")
	s.must(other.Register(t.Context()))
	check := s.unchanged(at)
	s.stop(leader.Kill)
	s.wantTakeover(other)
	s.wantExport(at, confirmedSince(time.Now()))
	check()
	change(other)

	t.Log("the leader hangs, and goes on when another leads")
	s.must(leader.Start(t.Context()))
	leader, other = other, leader
	s.must(other.Register(t.Context()))
	change(leader, other)
	check = s.unchanged(at)
	s.signal(leader, syscall.SIGSTOP)
	s.wantTakeover(other)
	s.wantExport(at, confirmedSince(time.Now()))
	check()
	change(other)
	s.signal(leader, syscall.SIGCONT)
	s.until(func() error {
		if leader.leads() {
			return fmt.Errorf("%s leads too", leader.name)
		}
		return nil
	})
	s.wantExport(at, confirmedSince(time.Now()))
	change(leader, other)

	t.Log("the leader ends, and gives up its lease")
	s.stop(other.Stop)
	s.must(leader.Register(t.Context()))
	s.wantTakeover(leader)
	change(leader)

	s.wantContents(at, contents)
	// Who hung is fenced by the sink, until it sees that another leads.
	for _, r := range []*replica{a, b} {
		log := logOf(r.LogPath())
		all, after := strings.Count(log, `"Fenced"`), strings.Count(log, `leads=false fencings=`)
		if all != after || all > 5 {
			t.Errorf("%s was fenced %d times, of which %d while it did not lead", r.name, all, after)
		}
	}
}

// wantContents fails unless just so many contents were exported, each once.
func (s *scene) wantContents(at place, want int) {
	s.Helper()
	manifests, err := filepath.Glob(filepath.Join(at.root, at.folder, "_manifests", "*.json"))
	s.must(err)
	generations := map[string][]int64{} // by content
	for _, name := range manifests {
		text, err := os.ReadFile(name)
		s.must(err)
		var m pointer
		s.must(json.Unmarshal(text, &m))
		generations[m.ContentHash] = append(generations[m.ContentHash], m.Generation)
	}
	if len(manifests) != want || len(generations) != want {
		s.Errorf("got %d generations of %d contents, want %d: %v", len(manifests), len(generations), want, generations)
	}
}
