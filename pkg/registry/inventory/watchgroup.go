package inventory

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

// dispatchEvents is how many events of the store are looked at before those who
// wait for them are woken, if there are as many at once.
const dispatchEvents = 256

// groups are the watches of a resource, those together that select the same. Each
// event is looked at once for all of a group, and only if the group may select it,
// by a goroutine that there is while there are watches. Nothing is queued for a
// watch: a group's events are a list that each of its watches goes along at its
// own pace, and what all have passed is garbage.
type groups[T object] struct {
	of *store[T]

	mu         sync.Mutex     // guards what follows, and all of the dispatcher but its version
	dispatcher *dispatcher[T] // nil: nobody watches
}

// dispatcher tells groups what happens.
type dispatcher[T object] struct {
	of     *groups[T]
	cursor *inventory.Cursor
	byID   map[string]*group[T]
	index  groupIndex[T]
	events uint64      // how many were looked at
	told   []*group[T] // who has something to publish

	version atomic.Uint64 // up to which all is published
	stop    chan struct{} // closed to end it
	done    chan struct{} // closed when it has ended
}

// group is the watches that select the same, in tables of the same shape.
type group[T object] struct {
	id       string
	selected *selection
	matches  func(T) bool
	shape    *shape

	watches int
	looked  uint64 // at which event
	last    *step  // not published yet
	pending []groupEvent
}

// step is a part of a group's events. But for ready, what it has is set before
// ready is closed, and never changes then.
type step struct {
	ready   chan struct{}
	events  []groupEvent
	version uint64          // up to which these are all that there are
	expired <-chan struct{} // closed when the store has forgotten what comes next
	next    *step
}

func newStep() *step { return &step{ready: make(chan struct{})} }

type groupEvent struct {
	version uint64
	watch.Event
}

// member is the place of one watch in its group.
type member[T object] struct {
	group      *group[T]
	dispatcher *dispatcher[T]
	since      uint64 // after which the group's events are told
	next       *step
}

// join returns a place at the end of the group's events. leave must be called in
// the end.
func (g *groups[T]) join(selected *selection, shape *shape) *member[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dispatcher == nil {
		g.dispatcher = newDispatcher(g)
		go g.dispatcher.run()
	}
	d := g.dispatcher
	id := selected.id() + shape.id()
	joined := d.byID[id]
	if joined == nil {
		joined = &group[T]{id: id, selected: selected, matches: g.of.kind.matcher(selected), shape: shape, last: newStep()}
		d.byID[id] = joined
		d.index.add(joined)
	}
	joined.watches++
	return &member[T]{group: joined, dispatcher: d, since: d.version.Load(), next: joined.last}
}

// leave gives up a place. The last waits until the dispatcher has ended.
func (g *groups[T]) leave(m *member[T]) {
	d := m.dispatcher
	if !g.remove(m.group) {
		return
	}
	close(d.stop)
	<-d.done
}

// remove reports whether nobody watches any more.
func (g *groups[T]) remove(left *group[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.dispatcher
	if left.watches--; left.watches > 0 {
		return false
	}
	delete(d.byID, left.id)
	d.index.remove(left)
	if len(d.byID) > 0 {
		return false
	}
	g.dispatcher = nil
	return true
}

func newDispatcher[T object](g *groups[T]) *dispatcher[T] {
	d := &dispatcher[T]{
		of:     g,
		cursor: g.of.store.Tail(),
		byID:   map[string]*group[T]{},
		index:  newGroupIndex(g.of.kind),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	d.version.Store(d.cursor.Version())
	return d
}

func (d *dispatcher[T]) run() {
	defer close(d.done)
	for {
		select {
		case <-d.stop:
			return
		case <-d.cursor.Ready():
			d.dispatch()
		}
	}
}

// dispatch looks at what has happened and publishes it.
func (d *dispatcher[T]) dispatch() {
	d.of.mu.Lock()
	defer d.of.mu.Unlock()
	for n := 0; n < dispatchEvents; {
		events, _ := d.cursor.Next()
		for i := range events {
			d.tell(&events[i])
		}
		n += len(events)
		if !isReady(d.cursor.Ready()) {
			break
		}
	}
	version, expired := d.cursor.Version(), d.cursor.Expired()
	for _, g := range d.told {
		g.publish(version, expired)
	}
	clear(d.told)
	d.told = d.told[:0]
	d.version.Store(version)
}

// tell notes an event for the groups that select what it changes.
func (d *dispatcher[T]) tell(e *inventory.Event) {
	t := newTransition(d.of.of.kind, e)
	if !t.was && !t.is {
		return
	}
	d.events++
	look := func(g *group[T]) {
		if g.looked == d.events {
			return
		}
		g.looked = d.events
		event, ok := t.event(d.of.of, g.matches, g.shape)
		if !ok {
			return
		}
		if len(g.pending) == 0 {
			d.told = append(d.told, g)
		}
		g.pending = append(g.pending, groupEvent{e.Version, event})
	}
	if t.was {
		d.index.each(t.before, look)
	}
	if t.is {
		d.index.each(t.after, look)
	}
}

// publish wakes those who wait for the pending events.
func (g *group[T]) publish(version uint64, expired <-chan struct{}) {
	step := g.last
	step.events, step.version, step.expired, step.next = g.pending, version, expired, newStep()
	g.last, g.pending = step.next, nil
	close(step.ready)
}

// version returns up to which version the group has nothing more to tell, if the
// watch has gone along to the version that is given.
func (m *member[T]) version(sent uint64) uint64 {
	version := m.dispatcher.version.Load()
	if isReady(m.next.ready) { // which what was published by that version is
		return sent
	}
	return max(version, sent)
}

func isReady(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
