package export

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"kollect.io/kollect/pkg/inventory"
)

// Reserver keeps the highest generation of each inventory that may be in use.
type Reserver interface {
	// Reserve returns count generations from first on that nobody else has or
	// will be given. first is at least atLeast, and above all that were ever
	// reserved for the inventory. They are reserved in persistent storage when
	// it returns, so that a crash leaves a gap and never a second use.
	Reserve(ctx context.Context, of *inventory.Inventory, atLeast, count int64) (first int64, err error)
}

// reservedBlock is how many generations are reserved at once.
const reservedBlock = 100

// Generations hands out the export generations of inventories: one counter an
// inventory, shared by its sinks. It is safe for concurrent use.
type Generations struct {
	reserver Reserver

	mu       sync.Mutex // guards counters
	counters map[inventory.Ref]*counter
}

// counter is that of one inventory.
type counter struct {
	newest atomic.Pointer[handedOut] // written under mu

	mu         sync.Mutex // guards what follows
	next, last int64      // what is left of the reserved block: next to last
	version    uint64     // of the newest snapshot that was given a generation
}

// handedOut is the newest generation, and the UID of the inventory it was for.
type handedOut struct {
	Generation
	uid string
}

// Generation is an export generation and the content that it stands for.
type Generation struct {
	Number int64
	Hash   inventory.ContentHash
}

// NewGenerations returns a Generations without a reservation.
func NewGenerations(reserver Reserver) *Generations {
	return &Generations{reserver: reserver, counters: map[inventory.Ref]*counter{}}
}

// Of returns the generation of the snapshot's content: the same for equal
// content of all sinks, a higher one for a later content, and never less than
// atLeast.
func (g *Generations) Of(ctx context.Context, snapshot *inventory.Snapshot, atLeast int64) (int64, error) {
	of := snapshot.Inventory()
	c := g.counter(of.Ref)
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := *c.newest.Load()
	again := newest.uid != of.UID
	if again { // made again: its status starts anew
		c.next, c.last = 0, -1
	}
	version := snapshot.Head().Version
	same := !again && newest.Number > 0 && newest.Hash == snapshot.Hash()
	switch {
	case same && newest.Number >= atLeast:
		c.version = max(c.version, version)
		return newest.Number, nil
	case !same && version < c.version:
		return 0, errSuperseded
	}
	number, err := c.take(ctx, g.reserver, of, max(atLeast, newest.Number+1))
	if err != nil {
		return 0, err
	}
	c.version = max(c.version, version)
	c.newest.Store(&handedOut{Generation{Number: number, Hash: snapshot.Hash()}, of.UID})
	return number, nil
}

// take returns the lowest generation from atLeast on that is reserved.
func (c *counter) take(ctx context.Context, reserver Reserver, of *inventory.Inventory, atLeast int64) (int64, error) {
	atLeast = max(atLeast, c.next)
	if atLeast > c.last {
		first, err := reserver.Reserve(ctx, of, atLeast, reservedBlock)
		if err != nil {
			return 0, err
		}
		if first < atLeast {
			return 0, fmt.Errorf("generation %d was reserved where at least %d was asked for", first, atLeast)
		}
		atLeast, c.last = first, first+reservedBlock-1
	}
	c.next = atLeast + 1
	return atLeast, nil
}

// Newest returns the newest generation of the inventory with that UID that was
// handed out; the zero Generation if there was none. It never waits.
func (g *Generations) Newest(ref inventory.Ref, uid string) Generation {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.counters[ref]; c != nil {
		if newest := c.newest.Load(); newest.uid == uid {
			return newest.Generation
		}
	}
	return Generation{}
}

func (g *Generations) counter(ref inventory.Ref) *counter {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.counters[ref]
	if c == nil {
		c = &counter{last: -1}
		c.newest.Store(&handedOut{})
		g.counters[ref] = c
	}
	return c
}
