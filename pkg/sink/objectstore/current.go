package objectstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// current brings the lists of clusters up to their inventories' pointers. Exports
// that end while a list is written are in the next one together. It is safe for
// concurrent use.
type current struct {
	mu       sync.Mutex
	clusters map[string]*publication
}

// publication is what this process knows of one cluster's list.
type publication struct {
	turn chan struct{} // whoever has put something in here writes the list

	mu sync.Mutex
	// known are the newest pointers, as entries.
	known map[inventory.Ref]listed
	// doubted are inventories whose pointer may have moved, or not.
	doubted map[inventory.Ref]bool
	// held are the generations in the list when it was last checked.
	held    map[inventory.Ref]int64
	checked time.Time
}

// recheck is how often a list that should need nothing is read again, to mend what
// somebody else did to it.
const recheck = 10 * time.Minute

func (c *current) of(cluster string) *publication {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.clusters[cluster]
	if p == nil {
		if c.clusters == nil {
			c.clusters = map[string]*publication{}
		}
		p = &publication{turn: make(chan struct{}, 1), known: map[inventory.Ref]listed{}, doubted: map[inventory.Ref]bool{}}
		c.clusters[cluster] = p
	}
	return p
}

// add notes what a pointer is.
func (p *publication) add(e listed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.doubted, e.ref())
	if p.known[e.ref()].Generation < e.Generation {
		p.known[e.ref()] = e
	}
}

// doubt notes that nobody knows what the inventory's pointer is.
func (p *publication) doubt(ref inventory.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted[ref] = true
}

// behind reports whether the list is, or may be, behind the inventory's pointer.
func (p *publication) behind(ref inventory.Ref) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubted[ref] || p.held[ref] < p.known[ref].Generation
}

// fresh reports whether the list was checked not long ago.
func (p *publication) fresh(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := now.Sub(p.checked)
	return !p.checked.IsZero() && since >= 0 && since < recheck
}

func (p *publication) all() []listed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Values(p.known))
}

func (p *publication) published(l *list, at time.Time) {
	held := make(map[inventory.Ref]int64, len(l.Inventories))
	for _, e := range l.Inventories {
		held[e.ref()] = e.Generation
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.checked = held, at
	maps.DeleteFunc(p.known, func(_ inventory.Ref, e listed) bool {
		return e.Forgotten // the list itself remembers, as long as it has to
	})
}

// publish brings the cluster's list up to the inventory's pointer. It reads and
// writes nothing if the list was there already.
func (s *Store) publish(ctx context.Context, at *pointer) error {
	p := s.current.of(at.Cluster)
	e := at.listed()
	p.add(e)
	done := func() bool { return !p.behind(e.ref()) && p.fresh(s.now()) }
	if done() {
		return nil
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.turn }()
	if done() {
		return nil // who was before has taken it along
	}
	l, err := s.mergeList(ctx, at.Cluster, p.all())
	if err != nil {
		return err
	}
	if err := s.writeLinks(ctx, l); err != nil {
		return err
	}
	p.published(l, s.now())
	return nil
}

// mergeList adds the entries to the cluster's list, if they are newer, and returns
// what it is then.
func (s *Store) mergeList(ctx context.Context, cluster string, entries []listed) (*list, error) {
	key := s.prefix + listKey(cluster)
	for range swapAttempts {
		l, version, err := s.readList(ctx, cluster)
		if err != nil {
			return nil, err
		}
		l, changed := l.merge(entries)
		if !changed {
			return l, nil
		}
		data, err := encode(l)
		if err != nil {
			return nil, fmt.Errorf("encode list: %w", err)
		}
		err = s.bucket.swap(ctx, key, format.JSON.ContentType(), data, version)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, errChanged) {
			return nil, s.redact.wrap("write", key, err)
		}
	}
	return nil, fmt.Errorf("write %s: %w again and again", key, errChanged)
}

// readList returns the cluster's list, which may have nothing in it, and its
// version.
func (s *Store) readList(ctx context.Context, cluster string) (*list, string, error) {
	key := s.prefix + listKey(cluster)
	data, version, err := s.bucket.read(ctx, key, maxList)
	if errors.Is(err, errNotFound) {
		return &list{APIVersion: format.APIVersion, Kind: listKind, Cluster: cluster, Inventories: []listed{}}, "", nil
	}
	if err != nil {
		return nil, "", s.redact.wrap("read", key, err)
	}
	l, err := parseList(data, cluster)
	if err != nil {
		return nil, "", sink.Permanent(fmt.Errorf("read %s: not a list that Kollect wrote: %w: move it away, and it is made anew", key, err))
	}
	return l, version, nil
}

// writeLinks brings the links up to the list. Of two that do so at once the last
// sees that the list has changed since, so that what stays is the newest.
func (s *Store) writeLinks(ctx context.Context, l *list) error {
	if s.bucket.address("") == "" {
		return nil // nobody who needs links can read there
	}
	key := s.prefix + linksKey(l.Cluster)
	address := func(data string) string { return s.bucket.address(s.prefix + data) }
	for range swapAttempts {
		held, version, err := s.bucket.read(ctx, key, maxList)
		if err != nil && !errors.Is(err, errNotFound) {
			return s.redact.wrap("read", key, err)
		}
		links := l.links(address)
		if version != "" && string(held) == string(links) {
			return nil
		}
		swapped := s.bucket.swap(ctx, key, "text/plain; charset=utf-8", links, version)
		if swapped != nil && !errors.Is(swapped, errChanged) {
			return s.redact.wrap("write", key, swapped)
		}
		if l, _, err = s.readList(ctx, l.Cluster); err != nil {
			return err
		}
		if swapped == nil && string(links) == string(l.links(address)) {
			return nil
		}
	}
	return fmt.Errorf("write %s: %w again and again", key, errChanged)
}
