package nats

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// Emitter publishes what changes to a stream. It is safe for concurrent use as
// sink.EventEmitter says, and by any number of processes.
type Emitter struct {
	conn      *nats.Conn
	js        jetstream.JetStream
	stream    string
	mustExist bool // the stream
	timeout   time.Duration
	redact    sink.Redactor
	slots     chan struct{} // bounds the batches at once, atomic or not: the server does, too
	// oversized is what becomes of rows that are too large for a message.
	oversized kollectv1alpha1.OversizedRows

	mu      sync.Mutex // guards what follows
	known   *facts     // of the stream; nil: look again
	views   map[place]view
	waiting waiting
}

// view is what Held has read, for who publishes next: what is published must
// follow that very checkpoint, and nothing else.
type view struct {
	checkpoint uint64 // its sequence; 0: there was none
	last       uint64 // the highest sequence
}

var _ sink.EventEmitter = (*Emitter)(nil)

// Schema returns what identifies the events.
func (e *Emitter) Schema(of *inventory.Inventory) string { return cloudevent.Schema(of) }

// Close ends the connection.
func (e *Emitter) Close() error {
	e.conn.Close()
	return nil
}

// Mark reads the checkpoint. It creates the stream again if that is gone.
func (e *Emitter) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	e.forget() // whoever asks may do so because something is wrong
	known, err := e.facts(ctx)
	if err != nil {
		return sink.Mark{}, err
	}
	if err := e.takes(known, placeOf(of)); err != nil {
		return sink.Mark{}, err
	}
	c, err := e.readCheckpoint(ctx, of)
	return c.mark, err
}

// Confirm publishes the checkpoint again, with its time.
func (e *Emitter) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	c, err := e.readCheckpoint(ctx, of)
	if err != nil {
		return sink.Mark{}, err
	}
	if c.mark.Generation == 0 || c.mark.Hash == "" ||
		c.mark.Generation != mark.Generation || c.mark.Hash != mark.Hash || c.mark.Schema != mark.Schema {
		return sink.Mark{}, fenced(c.mark)
	}
	if !at.After(c.mark.Time) {
		return c.mark, nil
	}
	next := c.mark
	next.Time = at
	export := cloudevent.NewExport(of, mark.Generation, at, mark.Schema)
	event, err := export.Marker("confirmed-"+at.UTC().Format(time.RFC3339Nano), cloudevent.Checkpoint, next)
	if err != nil {
		return sink.Mark{}, err
	}
	p := placeOf(of)
	m := newMessages(p).next(p.checkpoint(), event)
	expect(m, p, c.sequence)
	sequence, err := e.publishOne(ctx, m)
	if err != nil {
		return sink.Mark{}, e.explain("confirm the content", err)
	}
	e.mu.Lock()
	if v, seen := e.views[p]; seen && v.checkpoint == c.sequence {
		e.views[p] = view{sequence, sequence}
	}
	e.mu.Unlock()
	return next, nil
}

// Publish writes the delta, and a checkpoint last.
func (e *Emitter) Publish(ctx context.Context, delta sink.Delta) (sink.Mark, error) {
	if delta.Generation <= 0 || delta.Time.IsZero() {
		return sink.Mark{}, fmt.Errorf("publish generation %d: the generation must be above 0 and the time set", delta.Generation)
	}
	err := e.publish(ctx, delta, delta.Mark())
	e.overlook(placeOf(delta.Inventory)) // it was of what was there before
	if err != nil {
		return sink.Mark{}, err
	}
	return delta.Mark(), nil
}

// publish writes the delta, and the final mark as the last checkpoint.
func (e *Emitter) publish(ctx context.Context, delta sink.Delta, final sink.Mark) error {
	known, err := e.facts(ctx)
	if err != nil {
		return err
	}
	p := placeOf(delta.Inventory)
	if err := e.takes(known, p); err != nil {
		return err
	}
	c, err := e.readCheckpoint(ctx, delta.Inventory)
	if err != nil {
		return err
	}
	w := newWriter(e, known, p, c, delta)
	w.final = final
	if w.view, err = e.fence(p, c, delta); err != nil {
		return err
	}
	if err := w.plan(ctx); err != nil {
		return err
	}
	if err := w.write(ctx); err != nil {
		e.forget()
		return err
	}
	return nil
}

// fence returns ErrFenced unless the delta follows the checkpoint, and what Held
// has read before.
func (e *Emitter) fence(p place, c checkpoint, delta sink.Delta) (view, error) {
	if c.mark.Generation != delta.Base.Generation || c.mark.Hash != delta.Base.Hash || delta.Generation <= c.mark.Generation {
		return view{}, fenced(c.mark)
	}
	e.mu.Lock()
	v, seen := e.views[p]
	e.mu.Unlock()
	if seen && v.checkpoint != c.sequence || !seen && c.partial() {
		return view{}, fmt.Errorf("generation %d was written to since it was read: %w", c.mark.Generation, sink.ErrFenced)
	}
	return v, nil
}

func fenced(m sink.Mark) error {
	if m.Generation == 0 || m.Forgotten {
		return fmt.Errorf("the stream holds nothing of the inventory: %w", sink.ErrFenced)
	}
	return fmt.Errorf("generation %d is current: %w", m.Generation, sink.ErrFenced)
}
