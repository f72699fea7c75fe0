package nats

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

const (
	// readAhead is how many messages the server sends before it is asked for more.
	readAhead = 2000
	// askAgain is when to ask again if nothing comes: what is asked of a consumer on
	// another server than this one's gets lost if it comes before the consumer.
	askAgain = time.Second
	// maxReadings is how often rows are read, if the server leaves out some.
	maxReadings = 5
	// consumerLifetime is how long the server keeps a consumer that nobody reads.
	consumerLifetime = time.Minute
)

// Held reads the headers of the last message of each row.
//
// The server sends them in the order of the stream, maybe from a replica that is
// behind. They are read until there is what is the last one for the stream's
// leader, or a newer one, and what is published next must follow the checkpoint
// that was read.
func (e *Emitter) Held(ctx context.Context, of *inventory.Inventory, yield func(inventory.Held) error) error {
	const doing = "read back rows"
	p := placeOf(of)
	e.overlook(p)
	r, err := e.readBack(ctx, p)
	if err != nil {
		return e.explain(doing, err)
	}
	e.see(p, view{checkpoint: r.checkpoint, last: r.last})
	for _, held := range r.rows {
		if err := yield(held); err != nil {
			return err
		}
	}
	return nil
}

// readBack reads all rows, again if the server left some out. It does so when a
// request for more runs out while it has the next message in hand: it goes on with
// the one after that, and counts the one that it skipped as pending for good, by
// which it is known. What others write meanwhile is pending too, and read. In case
// that something else counts there, two readings that agree will do.
func (e *Emitter) readBack(ctx context.Context, p place) (*reading, error) {
	var before *reading
	for range maxReadings {
		newest, err := e.get(ctx, map[string]any{"last_by_subj": p.all()})
		if err != nil || newest == nil {
			return &reading{}, err
		}
		r := &reading{place: p, until: newest.Sequence, rows: map[inventory.Key]inventory.Held{}}
		if err := e.readOnce(ctx, r); err != nil {
			return nil, err
		}
		if r.pending == 0 || before != nil && before.last == r.last && maps.Equal(before.rows, r.rows) {
			return r, nil
		}
		before = r
	}
	return nil, fmt.Errorf("the server left out messages %d times", maxReadings)
}

func (e *Emitter) readOnce(ctx context.Context, r *reading) error {
	consumer, err := e.createConsumer(ctx, r.place)
	if err != nil {
		return err
	}
	defer e.dispose(ctx, consumer)
	return e.read(ctx, consumer, r)
}

func (e *Emitter) createConsumer(ctx context.Context, p place) (jetstream.Consumer, error) {
	ctx, done := e.bounded(ctx)
	defer done()
	consumer, err := e.js.CreateConsumer(ctx, e.stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		FilterSubject:     p.all(),
		HeadersOnly:       true,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: consumerLifetime,
	})
	return consumer, cause(ctx, err)
}

func (e *Emitter) see(p place, v view) {
	e.mu.Lock()
	e.views[p] = v
	e.mu.Unlock()
}

func (e *Emitter) overlook(p place) {
	e.mu.Lock()
	delete(e.views, p)
	e.mu.Unlock()
}

// dispose removes a consumer at once. It would go by itself after a while.
func (e *Emitter) dispose(ctx context.Context, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	ctx, done := e.bounded(ctx)
	defer done()
	_ = e.js.DeleteConsumer(ctx, e.stream, consumer.CachedInfo().Name)
}

// reading is what was read so far of an inventory.
type reading struct {
	place      place
	until      uint64 // the sequence that must be reached
	checkpoint uint64
	last       uint64 // of the messages
	pending    uint64 // how many are to come, as the server counts
	rows       map[inventory.Key]inventory.Held
}

func (e *Emitter) read(ctx context.Context, consumer jetstream.Consumer, r *reading) error {
	messages, err := consumer.Messages(jetstream.PullMaxMessages(readAhead),
		jetstream.PullExpiry(askAgain), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for n := uint64(1); ; n++ {
		m, err := e.nextMessage(ctx, messages, r.last >= r.until)
		if m == nil || err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Consumer != n {
			return fmt.Errorf("message %d came as number %d", n, meta.Sequence.Consumer)
		}
		if err := r.take(m, meta.Sequence.Stream); err != nil {
			return err
		}
		r.pending = meta.NumPending
		if r.last >= r.until && r.pending == 0 {
			return nil
		}
	}
}

// nextMessage returns the next message. Beyond the last one that must come it
// returns none if none comes soon.
func (e *Emitter) nextMessage(ctx context.Context, messages jetstream.MessagesContext, beyond bool) (jetstream.Msg, error) {
	ctx, done := e.bounded(ctx)
	defer done()
	if !beyond {
		m, err := messages.Next(jetstream.NextContext(ctx))
		return m, cause(ctx, err)
	}
	soon, cancel := context.WithTimeout(ctx, 2*askAgain)
	defer cancel()
	m, err := messages.Next(jetstream.NextContext(soon))
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return m, cause(ctx, err)
}

func (r *reading) take(m jetstream.Msg, sequence uint64) error {
	r.last = max(r.last, sequence)
	switch m.Subject() {
	case r.place.checkpoint():
		r.checkpoint = max(r.checkpoint, sequence)
		return nil
	case r.place.begin(), r.place.end():
		return nil
	}
	headers := m.Headers()
	held, there, err := cloudevent.ParseRow(func(name string) string { return headers.Get(prefix + name) })
	if err != nil {
		return sink.Permanent(fmt.Errorf("message %d at %s is not one that Kollect wrote: %w: remove it", sequence, m.Subject(), err))
	}
	if there {
		r.rows[held.Key] = held
	} else {
		delete(r.rows, held.Key)
	}
	return nil
}
