package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/lru"

	"kollect.io/kollect/pkg/inventory"
)

// Options bounds what is asked and remembered. The zero value means the defaults.
type Options struct {
	// TTL is how long an answer is good. Default: 5 seconds.
	TTL time.Duration
	// Deadline is how long the questions about what a caller was allowed may take
	// when they are asked again, before the request fails; those about a new caller
	// may take as long as its request. Default: 2 seconds.
	Deadline time.Duration
	// Budget is how long it may take, each time, to ask about what a caller was
	// denied. Where that is not enough for all, a new right shows later than a
	// right that is gone. Default: 1 second.
	Budget time.Duration
	// PerCaller and Total bound how many questions are asked at a time. Defaults:
	// 16 and 64.
	PerCaller, Total int
	// Callers and Partitions bound for how many callers tables are kept, and how
	// many partitions those may name. Who was not seen for the longest time is
	// asked about anew. Defaults: 1,000 and 1,000,000.
	Callers, Partitions int
}

func (o Options) withDefaults() Options {
	return Options{
		TTL:        cmp.Or(o.TTL, 5*time.Second),
		Deadline:   cmp.Or(o.Deadline, 2*time.Second),
		Budget:     cmp.Or(o.Budget, time.Second),
		PerCaller:  cmp.Or(o.PerCaller, 16),
		Total:      cmp.Or(o.Total, 64),
		Callers:    cmp.Or(o.Callers, 1_000),
		Partitions: cmp.Or(o.Partitions, 1_000_000),
	}
}

// Tables holds the tables of callers. It is safe for concurrent use.
type Tables struct {
	store      *inventory.Store
	authorizer authorizer.UnconditionalAuthorizer
	options    Options
	slots      chan struct{} // one for each question that is being asked

	mu         sync.Mutex // guards what follows
	callers    *lru.Cache // of *entry by callerKey
	partitions int        // that all entries name
}

// New returns tables of what is in the store, as the authorizer says.
func New(store *inventory.Store, authorizer authorizer.UnconditionalAuthorizer, options Options) *Tables {
	options = options.withDefaults()
	t := &Tables{store: store, authorizer: authorizer, options: options, slots: make(chan struct{}, options.Total)}
	t.callers = lru.NewWithEvictionFunc(options.Callers, func(_ lru.Key, value any) {
		e := value.(*entry)
		t.partitions -= e.partitions
		e.evicted = true
	})
	return t
}

// entry is what is known of a caller.
type entry struct {
	table atomic.Pointer[Table]
	turn  chan struct{} // held by the one who asks

	// Guarded by Tables.mu.
	partitions int
	evicted    bool
}

// Caller is one who reads, for the length of a request.
type Caller struct {
	tables *Tables
	user   user.Info
	entry  *entry
}

// Caller returns the caller who is the user. Two users are one caller if they
// agree in name, UID, groups and extra. With the first caller the store begins to
// keep partitions, and all states that are taken from then on know of them.
func (t *Tables) Caller(u user.Info) *Caller {
	t.store.KeepPartitions()
	key := keyOf(u)
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.callers.Get(key); ok {
		return &Caller{t, u, e.(*entry)}
	}
	e := &entry{turn: make(chan struct{}, 1)}
	t.callers.Add(key, e)
	return &Caller{t, u, e}
}

// weigh notes how many partitions the entry's table names.
func (t *Tables) weigh(e *entry, partitions int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.evicted {
		return
	}
	t.partitions += partitions - e.partitions
	e.partitions = partitions
	for t.partitions > t.options.Partitions && t.callers.Len() > 1 {
		t.callers.RemoveOldest()
	}
}

// callerKey is a digest of what an authorizer may look at.
type callerKey [sha256.Size]byte

func keyOf(u user.Info) callerKey {
	buf := appendPart(nil, u.GetName())
	buf = appendPart(buf, u.GetUID())
	buf = appendSet(buf, u.GetGroups())
	extra := u.GetExtra()
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		buf = appendSet(appendPart(buf, name), extra[name])
	}
	return sha256.Sum256(buf)
}

func appendPart(buf []byte, part string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(part))), part...)
}

func appendSet(buf []byte, parts []string) []byte {
	set := slices.Compact(slices.Sorted(slices.Values(parts)))
	buf = binary.AppendUvarint(buf, uint64(len(set)))
	for _, part := range set {
		buf = appendPart(buf, part)
	}
	return buf
}

// rounds is how often questions are asked for one request, if they took so long
// that their answers are too old.
const rounds = 3

// Table returns what the caller may list now. It has been asked about every
// partition of a state that was taken before. The error is the context's, or says
// that the authorizer is too slow or fails.
//
// If rights have changed, it answers a table of a later Since than all states
// that were taken before the change was known.
func (c *Caller) Table(ctx context.Context) (*Table, error) {
	need := c.tables.store.State().PartitionNumber()
	if table := c.entry.table.Load(); c.tables.usable(table, need) {
		return table, nil
	}
	select {
	case c.entry.turn <- struct{}{}:
		defer func() { <-c.entry.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	table := c.entry.table.Load()
	for range rounds {
		if c.tables.usable(table, need) {
			return table, nil
		}
		next, err := c.ask(ctx, table)
		if err != nil {
			return nil, err
		}
		c.publish(table, next)
		table = next
	}
	if c.tables.usable(table, need) {
		return table, nil
	}
	return nil, unavailable("the authorizer takes too long to say what the caller may list")
}

// unavailable is what a caller is told of whom it is not known what it may list:
// to leave rows out would look as if they were gone.
func unavailable(reason string) error {
	const retrySeconds = 1
	err := errors.NewServiceUnavailable(reason)
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: retrySeconds}
	return err
}

func (t *Tables) usable(table *Table, need uint64) bool {
	if table == nil || table.number < need {
		return false
	}
	return !t.expired(table)
}

func (t *Tables) expired(table *Table) bool {
	return time.Since(table.checked) >= t.options.TTL
}

// publish makes next the caller's table. If rights have changed, its version is
// later than that of every state that was taken while the old table was there to
// be read with it.
func (c *Caller) publish(old, next *Table) {
	if next.since == 0 {
		c.entry.table.Store(nil)
		next.since = c.tables.store.Advance()
	}
	c.entry.table.Store(next)
	if old == nil || len(old.allowed) != len(next.allowed) {
		c.tables.weigh(c.entry, len(next.allowed))
	}
}
