package inventory

import (
	"sync"

	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

// dispatchEvents is how many events of the store are looked at before those who
// wait for them are woken, if there are as many at once.
const dispatchEvents = 256

// groups are the watches of a resource, those together that select the same. Each
// event is looked at once for all of a group, and only if the group may select it,
// by a goroutine that there is while there are watches. It hands events to those
// that accept them at once. Nothing is queued for the others: a group's events are
// a list that each goes along at its own pace until it has caught up, and what all
// have passed is garbage.
type groups[T object] struct {
	of *store[T]

	mu         sync.Mutex     // guards what follows, and the dispatcher and its groups
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

	stop chan struct{} // closed to end it
	done chan struct{} // closed when it has ended
}

// group is the watches that select the same, in tables of the same shape.
type group[T object] struct {
	id       string
	selected *selection
	matches  func(T) bool
	shape    *shape

	members map[*member[T]]struct{}
	looked  uint64 // at which event
	pending []groupEvent
	last    *step // not published yet
}

// step is a part of a group's events. It never changes once it is published.
type step struct {
	events  []groupEvent
	version uint64          // up to which these are all that there are
	expired <-chan struct{} // closed when the store has forgotten what comes next
	next    *step
}

type groupEvent struct {
	version uint64
	watch.Event
}

// member is the place of one watch in its group. While it is idle it is the
// dispatcher's, which hands it events, and else the watch's, which goes along.
type member[T object] struct {
	group      *group[T]
	dispatcher *dispatcher[T]
	since      uint64 // after which the group's events are told
	result     chan<- watch.Event
	wake       chan struct{} // has one when it is no longer idle

	idle bool   // guarded by groups.mu
	next *step  // not sent yet
	sent uint64 // the version up to which all is sent
}

// join returns a place at the end of the group's events, which is not idle. leave
// must be called in the end.
func (g *groups[T]) join(selected *selection, shape *shape, result chan<- watch.Event) *member[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dispatcher == nil {
		g.dispatcher = newDispatcher(g)
		go g.dispatcher.run()
	}
	d := g.dispatcher
	id := selected.id() + "\n" + shape.id()
	joined := d.byID[id]
	if joined == nil {
		joined = &group[T]{
			id: id, selected: selected, matches: g.of.kind.matcher(selected), shape: shape,
			members: map[*member[T]]struct{}{}, last: &step{},
		}
		d.byID[id] = joined
		d.index.add(joined)
	}
	m := &member[T]{
		group: joined, dispatcher: d, since: d.cursor.Version(), result: result, wake: make(chan struct{}, 1), next: joined.last,
	}
	joined.members[m] = struct{}{}
	return m
}

// step returns what the member is to send next, or nil, and then it is idle.
func (g *groups[T]) step(m *member[T]) *step {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.next != m.group.last {
		return m.next
	}
	m.idle = true
	return nil
}

// rouse has the member not be idle, and returns up to which version all is sent.
func (g *groups[T]) rouse(m *member[T]) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.idle {
		m.idle = false
		m.sent = max(m.sent, m.dispatcher.cursor.Version()) // since it is told of all that it selects
	}
	return m.sent
}

// leave gives up a place. The last waits until the dispatcher has ended.
func (g *groups[T]) leave(m *member[T]) {
	d := m.dispatcher
	if !g.remove(m) {
		return
	}
	close(d.stop)
	<-d.done
}

// remove reports whether nobody watches any more.
func (g *groups[T]) remove(m *member[T]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, left := g.dispatcher, m.group
	if delete(left.members, m); len(left.members) > 0 {
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
	return &dispatcher[T]{
		of:     g,
		cursor: g.of.store.Tail(),
		byID:   map[string]*group[T]{},
		index:  newGroupIndex(g.of.kind),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
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

// publish hands the pending events to the members.
func (g *group[T]) publish(version uint64, expired <-chan struct{}) {
	published := g.last
	published.events, published.version, published.expired, published.next = g.pending, version, expired, &step{}
	g.last, g.pending = published.next, nil
	for m := range g.members {
		if m.idle {
			m.accept(published)
		}
	}
}

// accept sends a step as far as the watch accepts it at once.
func (m *member[T]) accept(s *step) {
	for _, e := range s.events {
		if e.version <= m.sent {
			continue
		}
		select {
		case m.result <- e.Event:
			m.sent = e.version
		default:
			m.idle = false
			select {
			case m.wake <- struct{}{}:
			default: // it has not looked since the last time
			}
			return
		}
	}
	m.passed(s)
}

// passed notes that all of a step is sent.
func (m *member[T]) passed(s *step) {
	m.next, m.sent = s.next, max(m.sent, s.version)
}

func isReady(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
