package export

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/inventory"
)

// attemptTimeout bounds one attempt to export.
const attemptTimeout = 5 * time.Minute

// Options say where an exporter takes snapshots and generations from.
type Options struct {
	Store       *inventory.Store
	Generations *Generations
	// Leading asks, not from memory, whether this process may export. Nil is yes.
	Leading func(ctx context.Context) (bool, error)
	// Changed is called when a state of the inventory's pairs changed; see States.
	// It must not wait. Nil is nobody.
	Changed func(ref inventory.Ref)
}

// Pair is an inventory and a sink.
type Pair struct {
	Inventory inventory.Ref
	// Sink is the sink's name, unique among those of the inventory.
	Sink        string
	Destination Destination
	Settings    Settings
	// Release is called once the destination is not used any more. It may be nil.
	Release func()
}

// Exporter runs the loops of pairs. It is safe for concurrent use.
type Exporter struct {
	options Options
	room    room
	added   chan struct{} // of capacity 1: starting is not empty

	mu       sync.Mutex // guards what follows
	pairs    map[inventory.Ref]map[string]*running
	ending   map[pairKey]<-chan struct{} // of removed pairs whose loops have not ended
	starting []*loop
	ended    bool
}

type pairKey struct {
	inventory inventory.Ref
	sink      string
}

type running struct {
	loop   *loop
	state  State
	behind time.Time // since when there is content that the sink does not hold; zero: there is none
}

// New returns an exporter without pairs.
func New(options Options) *Exporter {
	return &Exporter{
		options: options,
		room:    newRoom(),
		added:   make(chan struct{}, 1),
		pairs:   map[inventory.Ref]map[string]*running{},
		ending:  map[pairKey]<-chan struct{}{},
	}
}

// Run exports the pairs until ctx ends, and returns when every loop has ended
// and every destination is released. It is called once.
func (e *Exporter) Run(ctx context.Context) {
	var wg sync.WaitGroup
	e.dispatch(ctx, &wg)
	e.mu.Lock()
	e.ended = true
	for _, l := range e.starting {
		l.end()
	}
	e.starting = nil
	e.mu.Unlock()
	wg.Wait()
}

// Set adds a pair, or replaces it: what runs of it is cancelled, and the new one
// begins once that has ended, though it was removed before.
func (e *Exporter) Set(pair Pair) {
	if pair.Settings.MinInterval <= 0 {
		pair.Settings.MinInterval = 30 * time.Second
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	pairs := e.pairs[pair.Inventory]
	if pairs == nil {
		pairs = map[string]*running{}
		e.pairs[pair.Inventory] = pairs
	}
	l := &loop{pair: pair, exporter: e, changed: make(chan struct{}, 1), done: make(chan struct{})}
	next := &running{loop: l, state: State{SinkState: inventory.SinkState{Name: pair.Sink}, Outcome: Pending}}
	if old := pairs[pair.Sink]; old != nil {
		next.state, next.behind = old.state, old.behind
		if next.state.Outcome == Forgotten { // at the destination as it was
			next.state.Outcome = Pending
		}
		l.after = e.stop(old.loop)
	} else {
		l.after = e.ending[l.key()]
	}
	delete(e.ending, l.key())
	pairs[pair.Sink] = next
	if snapshot := e.options.Store.State().Snapshot(pair.Inventory); snapshot != nil {
		next.changed(snapshot.Hash())
	}
	if e.ended {
		l.end()
		return
	}
	e.starting = append(e.starting, l)
	select {
	case e.added <- struct{}{}:
	default:
	}
}

// Remove ends a pair. It does not wait for that, but the next Set does.
func (e *Exporter) Remove(ref inventory.Ref, sink string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	pairs := e.pairs[ref]
	if r := pairs[sink]; r != nil {
		if after := e.stop(r.loop); after != nil {
			e.ending[r.loop.key()] = after
		}
		delete(pairs, sink)
	}
	if len(pairs) == 0 {
		delete(e.pairs, ref)
	}
}

// States returns the states of the inventory's pairs, ordered by name.
func (e *Exporter) States(ref inventory.Ref) []State {
	e.mu.Lock()
	defer e.mu.Unlock()
	var states []State
	for _, r := range e.pairs[ref] {
		states = append(states, r.state)
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return states
}

// startAdded starts the loops that were added.
func (e *Exporter) startAdded(ctx context.Context, wg *sync.WaitGroup) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.starting {
		logger := klog.FromContext(ctx).WithValues("inventory", l.pair.Inventory.String(), "sink", l.pair.Sink)
		loopCtx, cancel := context.WithCancel(klog.NewContext(ctx, logger))
		l.cancel = cancel
		wg.Go(func() {
			defer e.forget(l)
			defer l.end()
			defer cancel()
			l.run(loopCtx)
		})
	}
	e.starting = nil
}

// stop ends a loop, and returns what is closed once the destination has no user
// any more; nil if it has none. e.mu is held.
func (e *Exporter) stop(l *loop) <-chan struct{} {
	if l.cancel != nil {
		l.cancel()
		return l.done
	}
	if i := slices.Index(e.starting, l); i >= 0 {
		e.starting = slices.Delete(e.starting, i, i+1)
		l.end()
	}
	return l.after
}

// forget drops what is kept of a removed pair's loop, which has ended.
func (e *Exporter) forget(l *loop) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ending[l.key()] == l.done {
		delete(e.ending, l.key())
	}
}

// update changes the state of a loop's pair, unless the pair was replaced.
func (e *Exporter) update(l *loop, change func(*State)) {
	e.mu.Lock()
	r := e.pairs[l.pair.Inventory][l.pair.Sink]
	if r == nil || r.loop != l {
		e.mu.Unlock()
		return
	}
	before := r.state
	change(&r.state)
	same := r.state == before
	e.mu.Unlock()
	if !same && e.options.Changed != nil {
		e.options.Changed(l.pair.Inventory)
	}
}

func (e *Exporter) leads(ctx context.Context) (bool, error) {
	if e.options.Leading == nil {
		return true, nil
	}
	return e.options.Leading(ctx)
}

// dispatch starts loops, and follows the store to tell those of the inventories
// that changed, so that a commit wakes those alone.
func (e *Exporter) dispatch(ctx context.Context, wg *sync.WaitGroup) {
	store := e.options.Store
	for ctx.Err() == nil {
		cursor, err := store.Follow(store.State().Version)
		if err != nil { // it was the newest version a moment ago: try the one that is now
			continue
		}
		e.wakeAll()
		e.follow(ctx, cursor, wg)
	}
}

func (e *Exporter) follow(ctx context.Context, cursor *inventory.Cursor, wg *sync.WaitGroup) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-cursor.Expired():
			return
		case <-e.added:
			e.startAdded(ctx, wg)
			continue
		case <-cursor.Ready():
		}
		events, _ := cursor.Next()
		for _, event := range events {
			if event.HeadAfter != nil {
				e.wake(event.Inventory.Ref, event.HeadAfter.Hash)
			}
		}
	}
}

func (e *Exporter) wakeAll() {
	state := e.options.Store.State()
	for _, ref := range e.inventories() {
		if snapshot := state.Snapshot(ref); snapshot != nil {
			e.wake(ref, snapshot.Hash())
		}
	}
}

func (e *Exporter) inventories() []inventory.Ref {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.pairs))
}

// wake tells the inventory's loops what the hash of the newest snapshot is.
func (e *Exporter) wake(ref inventory.Ref, hash inventory.ContentHash) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.pairs[ref] {
		r.changed(hash)
		r.loop.wake()
	}
}
