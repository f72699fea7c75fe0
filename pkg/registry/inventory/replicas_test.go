package inventory

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// replica is a server with a store of its own.
type replica struct {
	epoch   uint32
	store   *inventory.Store
	handler http.Handler
	killed  context.Context
	kill    context.CancelFunc
	fed     atomic.Int64 // changes of the world
	lag     sync.Mutex   // whoever holds it has the replica fall behind
}

// feed lists the world in several steps and then follows it.
func (r *replica) feed(w *world) {
	w.mu.Lock()
	rows, absent, n := maps.Clone(w.rows), w.absent, len(w.changes)
	w.mu.Unlock()
	for i, ref := range worldRefs {
		if i < len(worldRefs)-1 || !absent {
			r.store.Update(func(tx *inventory.Tx) { setWorldInventory(tx, ref) })
		}
	}
	for _, row := range rows {
		change(r.store, row)
	}
	for {
		r.fed.Store(int64(n))
		changes, more := w.next(n)
		for _, change := range changes {
			r.lag.Lock()
			r.store.Update(change)
			r.lag.Unlock()
		}
		if n += len(changes); len(changes) > 0 {
			continue
		}
		select {
		case <-more:
		case <-r.killed.Done():
			return
		}
	}
}

// stay is a client's at a replica. Its watches end with it.
type stay struct {
	at     *replica
	broken bool          // how they end: else in good order, so that the client resumes them
	over   chan struct{} // closed when broken is set
}

// service is an address behind which replicas come and go. A client keeps to its
// replica until it is taken away; one that reads pages goes to any.
type service struct {
	t      *testing.T
	world  *world
	epochs atomic.Uint32
	feeds  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	alive []*replica // the oldest first
	all   map[uint32]*replica
	stays map[string]*stay // by client
	pages *replica         // who gave out the last page
	held  chan struct{}    // closed when requests go on that wait; nil: none waits
}

func newService(t *testing.T, w *world) (*service, *rest.Config) {
	s := &service{t: t, world: w, all: map[uint32]*replica{}, stays: map[string]*stay{}}
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		s.hold()
		s.end(s.replicas()...)
		for _, r := range s.replicas() {
			s.kill(r)
		}
		s.feeds.Wait()
		server.CloseClientConnections()
		server.Close()
	})
	return s, &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
}

func (s *service) replicas() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive
}

// replica returns the one of an epoch, dead or alive.
func (s *service) replica(epoch uint32) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[epoch]
}

func (s *service) start() {
	r := &replica{epoch: s.epochs.Add(1)}
	r.store = inventory.NewStore(inventory.Options{Epoch: r.epoch, NewestEpoch: s.epochs.Load})
	r.handler = handler(s.t, r.store, nobody)
	r.killed, r.kill = context.WithCancel(context.Background())
	s.feeds.Go(func() { r.feed(s.world) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = append(s.alive[:len(s.alive):len(s.alive)], r)
	s.all[r.epoch] = r
}

func (s *service) kill(r *replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = slices.DeleteFunc(slices.Clone(s.alive), func(other *replica) bool { return other == r })
	r.kill()
}

// hold has requests wait until they are let go.
func (s *service) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
}

// end takes clients from the replicas, of each every other by breaking its
// watches, and returns them by where they were. Requests are held.
func (s *service) end(from ...*replica) map[*replica][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := map[*replica][]string{}
	for client, stay := range s.stays {
		if slices.Contains(from, stay.at) {
			stay.broken = len(clients[stay.at])%2 == 1
			clients[stay.at] = append(clients[stay.at], client)
			close(stay.over)
			delete(s.stays, client)
		}
	}
	return clients
}

// release lets requests go to the replicas that clients are to be at.
func (s *service) release(clients map[string]*replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for client, r := range clients {
		s.stays[client] = &stay{at: r, over: make(chan struct{})}
	}
	close(s.held)
	s.held = nil
}

// of returns where a client is.
func (s *service) of(client string) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stays[client].at
}

const readerOfPages = "pages"

// route returns the replica that answers a request, and the stay of the client
// there if it has one. The detector of client-go asks for the state that it
// compares until it gets it: it gets it of the replica that had it, even if that
// is dead.
func (s *service) route(r *http.Request) (*replica, *stay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.held != nil {
		held := s.held
		s.mu.Unlock()
		select {
		case <-held:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		if r.Context().Err() != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if q := r.URL.Query(); q.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact) {
		version, _ := strconv.ParseUint(q.Get("resourceVersion"), 10, 64)
		return s.all[epochOf(version)], nil
	}
	if r.UserAgent() == readerOfPages {
		if !slices.Contains(s.alive, s.pages) || rand.IntN(4) == 0 {
			s.pages = s.alive[rand.IntN(len(s.alive))]
		}
		return s.pages, nil
	}
	client := clientName(r.UserAgent(), path.Base(r.URL.Path))
	if s.stays[client] == nil {
		s.stays[client] = &stay{at: s.alive[len(s.stays)%len(s.alive)], over: make(chan struct{})}
	}
	return s.stays[client].at, s.stays[client]
}

// clientName tells the informers of an agent apart by their resources.
func clientName(agent, resource string) string { return agent + " of " + resource }

func epochOf(version uint64) uint32 { return uint32(version >> 39) }

// ServeHTTP ends watches with the stay of the client.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, stay := s.route(r)
	if stay == nil || !r.URL.Query().Has("watch") {
		to.handler.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	served := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-stay.over:
			cancel()
		case <-served:
		}
	})
	to.handler.ServeHTTP(w, r.WithContext(ctx))
	close(served)
	watching.Wait()
	select {
	case <-stay.over:
		if stay.broken {
			panic(http.ErrAbortHandler)
		}
	default:
	}
}
