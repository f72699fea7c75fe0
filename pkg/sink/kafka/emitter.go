package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// Emitter publishes what changes to a topic. It is safe for concurrent use as
// sink.EventEmitter says, and by any number of processes.
type Emitter struct {
	client     *kgo.Client // of all that is not written
	common     []kgo.Opt   // of all clients
	decompress kgo.Decompressor
	topic      string
	timeout    time.Duration
	retryWait  time.Duration
	mustExist  bool // the topic
	redact     sink.Redactor
	// oversized is what becomes of rows that are too large for a record.
	oversized kollectv1alpha1.OversizedRows
	// frame is what values begin with, if there is a registry of schemas.
	frame []byte
	// records is how many of them make a transaction.
	records int

	mu        sync.Mutex // guards what follows
	known     *facts     // of the topic; nil: look again
	maxSize   int        // of a batch, as it was found last
	sightings map[spot]sighting
	views     map[place]int64 // the checkpoint that Held has read, for who publishes next
	producers map[place]*producer
}

var _ sink.EventEmitter = (*Emitter)(nil)

// Schema returns what identifies the events.
func (e *Emitter) Schema(of *inventory.Inventory) string {
	if e.frame != nil {
		return cloudevent.Schema(of) + framed
	}
	return cloudevent.Schema(of)
}

// Close ends the connections.
func (e *Emitter) Close() error {
	e.mu.Lock()
	producers := e.producers
	e.producers = nil
	e.mu.Unlock()
	for _, p := range producers {
		p.client.Close()
	}
	e.client.Close()
	return nil
}

// Mark reads the newest checkpoint. It creates the topic again if that is gone.
func (e *Emitter) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	e.forget() // whoever asks may do so because something is wrong
	s, err := e.look(ctx, of)
	return s.checkpoint.mark, err
}

// Confirm writes the checkpoint again, with its time.
func (e *Emitter) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	const doing = "confirm the content"
	place := placeOf(of)
	fits := func(c checkpoint) error {
		if c.mark.Generation == 0 || c.mark.Hash == "" ||
			c.mark.Generation != mark.Generation || c.mark.Hash != mark.Hash || c.mark.Schema != mark.Schema {
			return fenced(c.mark)
		}
		return nil
	}
	p, err := e.take(ctx, of, fits)
	if err != nil {
		return sink.Mark{}, e.explain(doing, err)
	}
	before := p.held
	if !at.After(before.mark.Time) {
		e.give(place, p)
		return before.mark, nil
	}
	next := before.mark
	next.Time = at
	export := cloudevent.NewExport(of, next.Generation, at, next.Schema)
	event, err := export.Marker("confirmed-"+at.UTC().Format(time.RFC3339Nano), cloudevent.Checkpoint, next)
	if err == nil {
		err = e.writeOne(ctx, p, place, event, next)
	}
	if err != nil {
		e.discard(p)
		return sink.Mark{}, e.explain(doing, err)
	}
	e.mu.Lock()
	if e.views[place] == before.offset {
		delete(e.views, place) // it is of what is still there
	}
	e.mu.Unlock()
	e.give(place, p)
	return next, nil
}

// writeOne writes a checkpoint of the mark.
func (e *Emitter) writeOne(ctx context.Context, p *producer, at place, event *cloudevent.Event, mark sink.Mark) error {
	t := e.newTransaction(p, newFlight(e.frame))
	last := t.flight.piece()
	last.add(at, []byte(keyCheckpoint), event, &headers{}, sizeOf(at, []byte(keyCheckpoint), event))
	last.ends = &mark
	return t.write(ctx, last)
}

// Publish writes the delta in one transaction, or in several of which all but the
// last end with the checkpoint of a part.
func (e *Emitter) Publish(ctx context.Context, delta sink.Delta) (sink.Mark, error) {
	if delta.Generation <= 0 || delta.Time.IsZero() {
		return sink.Mark{}, fmt.Errorf("publish generation %d: the generation must be above 0 and the time set", delta.Generation)
	}
	err := e.publish(ctx, delta, delta.Mark())
	e.overlook(placeOf(delta.Inventory)) // it was of what was there before
	if err != nil {
		return sink.Mark{}, e.explain(fmt.Sprintf("publish generation %d", delta.Generation), err)
	}
	return delta.Mark(), nil
}

// confusions is how often brokers may answer that they do not know what went wrong,
// as they do when two writers take turns faster than they can follow.
const confusions = 3

// publish writes the delta. final is what is held then.
func (e *Emitter) publish(ctx context.Context, delta sink.Delta, final sink.Mark) error {
	for n := 0; ; n++ {
		err := e.tryPublish(ctx, delta, final)
		if n == confusions || !errors.Is(err, kerr.UnknownServerError) || !e.pause(ctx, n) {
			return err
		}
	}
}

func (e *Emitter) tryPublish(ctx context.Context, delta sink.Delta, final sink.Mark) error {
	known, err := e.facts(ctx)
	if err != nil {
		return err
	}
	w := e.newWriter(known, delta, final)
	planned := make(chan error, 1) // while the producer is taken
	go func() { planned <- w.plan(ctx) }()
	p, err := e.take(ctx, delta.Inventory, func(c checkpoint) error {
		if c.mark.Generation != delta.Base.Generation || c.mark.Hash != delta.Base.Hash || delta.Generation <= c.mark.Generation {
			return fenced(c.mark)
		}
		return nil
	})
	if unfit := <-planned; unfit != nil && err == nil {
		e.give(w.place, p)
		return unfit
	}
	if err != nil {
		return err
	}
	if err := w.write(ctx, e.newTransaction(p, w.flight)); err != nil {
		e.discard(p)
		e.forget()
		return err
	}
	e.give(w.place, p)
	return nil
}

func fenced(m sink.Mark) error {
	if m.Generation == 0 {
		return fmt.Errorf("the topic holds nothing of the inventory: %w", sink.ErrFenced)
	}
	return fmt.Errorf("generation %d is current: %w", m.Generation, sink.ErrFenced)
}
