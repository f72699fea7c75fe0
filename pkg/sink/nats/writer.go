package nats

import (
	"context"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

const (
	// batchMessages is what servers take in one batch, if they are not told
	// otherwise, and batchBytes bounds what is held in memory for one.
	batchMessages = 1000
	batchBytes    = 4 << 20
	// maxBatches is how many batches an emitter writes at once. A stream takes 50.
	maxBatches = 16
	// tombstoneTTL is how long the message of a row that is gone is kept, where
	// streams can have it: consumers that are away for longer miss it.
	tombstoneTTL = "168h"
)

// writer writes one delta.
type writer struct {
	emitter *Emitter
	known   *facts
	place   place
	delta   sink.Delta
	export  *cloudevent.Export
	limit   cloudevent.Limit

	final    sink.Mark  // what is held when all is written
	before   checkpoint // what there was at first
	view     view       // what Held has read of it
	whole    bool       // all rows are written
	large    bool       // it takes more than a batch
	sequence int64      // of the last event
	last     uint64     // sequence of the checkpoint that the next batch follows
	messages *messages
	pending  []*nats.Msg
	bytes    int
	sent     chan answer // of the batch that the server is committing; nil: there is none
	pipeline *pipeline   // nil: messages go another way
}

func newWriter(e *Emitter, known *facts, p place, c checkpoint, delta sink.Delta) *writer {
	return &writer{
		emitter: e, known: known, place: p, delta: delta, before: c, last: c.sequence,
		export: cloudevent.NewExport(delta.Inventory, delta.Generation, delta.Time, cloudevent.Schema(delta.Inventory)),
		limit:  e.limit(known), messages: newMessages(p),
	}
}

// plan finds out whether each event fits into a message, and whether all rows are
// written, before anything is.
func (w *writer) plan(ctx context.Context) error {
	var updates, upserted int64
	for u := range w.delta.Updates {
		if updates++; updates%batchMessages == 0 && ctx.Err() != nil {
			break
		}
		if u.Row == nil {
			continue
		}
		upserted++
		if !w.limit.MayExceed(u.Row) {
			continue
		}
		if _, err := w.upserted(0, u); err != nil {
			return sink.Permanent(err)
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish generation %d: %w", w.delta.Generation, err)
	}
	w.large = updates >= batchMessages
	w.whole = upserted == w.delta.Rows && (w.delta.First() || w.delta.Base.Schema != w.delta.Schema) && !w.final.Forgotten
	return nil
}

// moves reports whether a row leaves a subject for another.
func (w *writer) moves(u inventory.Update) bool {
	if !u.Held || u.Row == nil {
		return false
	}
	resource := u.Row.Resource()
	return u.Origin.Kind != resource.Kind || u.Origin.Group != resource.Group
}

func (w *writer) write(ctx context.Context) error {
	err := w.writeAll(ctx)
	if w.pipeline != nil {
		w.pipeline.close()
	}
	// The last batch may be on its way, whatever became of the others.
	if committed := w.explain(w.committed()); err == nil {
		err = committed
	}
	return err
}

func (w *writer) writeAll(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.marker(ctx, w.place.begin(), cloudevent.SnapshotBegin); err != nil {
		return err
	}
	for u := range w.delta.Updates {
		if err := w.update(ctx, u); err != nil {
			return err
		}
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	if err := w.marker(ctx, w.place.end(), cloudevent.SnapshotEnd); err != nil {
		return err
	}
	return w.flush(ctx, w.final)
}

// upserted returns the event of a row, or an error if there is none.
func (w *writer) upserted(sequence int64, u inventory.Update) (*cloudevent.Event, error) {
	return rowEvent(w.limit, w.export, sequence, u.Key, u.Row)
}

// marker writes what stands around all rows, if all are written.
func (w *writer) marker(ctx context.Context, subject, kind string) error {
	if !w.whole {
		return nil
	}
	event, err := w.export.Marker(w.next(), kind, w.delta.Mark())
	if err != nil {
		return err
	}
	return w.add(ctx, subject, event)
}

func (w *writer) next() string {
	w.sequence++
	return strconv.FormatInt(w.sequence, 10)
}

func (w *writer) update(ctx context.Context, u inventory.Update) error {
	if u.Row == nil || w.moves(u) {
		w.sequence++
		event := w.export.Deleted(w.sequence, u.Key, u.Origin)
		if err := w.add(ctx, w.messages.subject(u.Origin, event), event); err != nil {
			return err
		}
	}
	if u.Row == nil {
		return nil
	}
	w.sequence++
	event, err := w.upserted(w.sequence, u)
	if err != nil {
		return sink.Permanent(err)
	}
	return w.add(ctx, w.messages.subject(u.Row.Origin(), event), event)
}

// add writes the event with the next batch.
func (w *writer) add(ctx context.Context, subject string, event *cloudevent.Event) error {
	size := sizeOf(event)
	if len(w.pending) > 0 && (len(w.pending)+1 >= batchMessages || w.bytes+size > batchBytes) {
		if err := w.flush(ctx, w.delta.Begun()); err != nil {
			return err
		}
	}
	m := w.messages.next(subject, event)
	if w.known.expires && event.Is(cloudevent.RowDeleted) {
		set(m.Header, headerTTL, tombstoneTTL)
	}
	w.pending = append(w.pending, m)
	w.bytes += size
	return nil
}

// flush writes what is pending, and the mark as a checkpoint.
func (w *writer) flush(ctx context.Context, mark sink.Mark) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", w.doing(), err)
	}
	switch {
	case w.pipeline != nil:
		err = w.pipeline.send(ctx, w.pending, w.place, w.last)
	case w.known.atomic:
		err = w.writeBatch(ctx, mark)
	default:
		err = w.writeEach(ctx, mark)
	}
	w.messages.reset()
	w.pending, w.bytes = w.pending[:0], 0
	return w.explain(err)
}

func (w *writer) doing() string { return fmt.Sprintf("publish generation %d", w.delta.Generation) }

func (w *writer) explain(err error) error { return w.emitter.explain(w.doing(), err) }

func (w *writer) checkpoint(mark sink.Mark) (*nats.Msg, error) {
	event, err := w.export.Marker(w.next(), cloudevent.Checkpoint, mark)
	if err != nil {
		return nil, err
	}
	m := newMessages(w.place).next(w.place.checkpoint(), event)
	expect(m, w.place, w.last)
	return m, nil
}
