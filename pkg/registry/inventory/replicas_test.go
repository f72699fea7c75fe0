package inventory

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/inventory"
)

// world is what replicas collect: inventories, of which one comes and goes, and
// their rows.
type world struct {
	mu      sync.Mutex // guards what follows
	rows    map[string]*inventory.Row
	absent  bool // the last inventory
	changes []func(*inventory.Tx)
	more    chan struct{} // closed when there are more changes
}

var worldRefs = []inventory.Ref{apps, {Namespace: "team-a", Name: "apps.x"}, platform, {Namespace: "team-b", Name: "apps"}}

func newWorld() *world {
	w := &world{rows: map[string]*inventory.Row{}, more: make(chan struct{})}
	for i := range 400 {
		row := worldRow(i, "0")
		w.rows[row.Target().String()+row.UID()] = row
	}
	return w
}

func worldRow(i int, value string) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: deployments, Target: targetOf(worldRefs[i%len(worldRefs)]), Namespace: "source", Name: fmt.Sprintf("app-%d", i),
		UID: fmt.Sprintf("uid-%d", i), Created: created, Labels: map[string]string{"value": value}, Attributes: fmt.Appendf(nil, `{"image":%q}`, value),
	})
}

func setWorldInventory(tx *inventory.Tx, ref inventory.Ref) {
	tx.SetTarget(*targetOf(ref), columns[:1])
	tx.SetInventory(inventory.Inventory{Ref: ref, UID: ref.String(), Cluster: "demo", Targets: []inventory.TargetRef{*targetOf(ref)}})
}

// step changes the world.
func (w *world) step(random *rand.Rand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row := worldRow(random.IntN(500), strconv.Itoa(random.IntN(1000)))
	change, last := func(tx *inventory.Tx) { tx.Put(row, "") }, worldRefs[len(worldRefs)-1]
	switch name, n := row.Target().String()+row.UID(), random.IntN(100); {
	case n == 0 && w.absent:
		change = func(tx *inventory.Tx) { setWorldInventory(tx, last) }
		w.absent = false
	case n == 0:
		change = func(tx *inventory.Tx) { tx.RemoveInventory(last) }
		w.absent = true
	case n < 30:
		change = func(tx *inventory.Tx) { tx.Remove(row) }
		delete(w.rows, name)
	default:
		w.rows[name] = row
	}
	w.changes = append(w.changes, change)
	close(w.more)
	w.more = make(chan struct{})
}

// next returns the changes after the first n, and a channel that is closed when
// there are more.
func (w *world) next(n int) ([]func(*inventory.Tx), <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes[n:], w.more
}

// replica is a server with a store of its own.
type replica struct {
	epoch   uint32
	store   *inventory.Store
	handler http.Handler
	killed  context.Context
	kill    context.CancelFunc
	fed     atomic.Int64 // changes of the world
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
			r.store.Update(change)
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

// service is an address behind which replicas come and go. A request goes to any
// of them.
type service struct {
	t      *testing.T
	world  *world
	epochs atomic.Uint32
	feeds  sync.WaitGroup

	mu    sync.Mutex // guards what follows
	alive []*replica
	all   map[uint32]*replica
}

func newService(t *testing.T, w *world) (*service, *rest.Config) {
	s := &service{t: t, world: w, all: map[uint32]*replica{}}
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() {
		for len(s.replicas()) > 0 {
			s.kill(0)
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

func (s *service) kill(i int) {
	s.mu.Lock()
	r := s.alive[i]
	s.alive = append(s.alive[:i:i], s.alive[i+1:]...)
	s.mu.Unlock()
	r.kill()
}

// route returns the replica that answers a request, or nil. The detector of
// client-go asks for the state that it compares until it gets it: it gets it of
// the replica that had it, even if that is dead.
func (s *service) route(r *http.Request) *replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := r.URL.Query(); q.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact) {
		version, _ := strconv.ParseUint(q.Get("resourceVersion"), 10, 64)
		return s.all[uint32(version>>39)]
	}
	if len(s.alive) == 0 {
		return nil
	}
	return s.alive[rand.IntN(len(s.alive))]
}

// ServeHTTP breaks the connection when the replica is killed.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := s.route(r)
	if to == nil {
		panic(http.ErrAbortHandler)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if r.URL.Query().Has("watch") {
		defer context.AfterFunc(to.killed, cancel)()
	}
	to.handler.ServeHTTP(w, r.WithContext(ctx))
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
}
