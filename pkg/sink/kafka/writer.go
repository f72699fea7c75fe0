package kafka

import (
	"context"
	"strconv"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

const (
	// transactionRecords, of rows, and transactionBytes bound a transaction: who reads
	// what is committed alone waits for its end, and so does the retry of one that
	// failed.
	transactionRecords = 50_000
	transactionBytes   = 64 << 20
	// piecesAhead is how many pieces wait to be sent.
	piecesAhead = 32
	// planRows are looked at together: a short loop waits for many of them at once.
	planRows = 256
)

// writer writes one delta. One goroutine makes the records while another sends them:
// what they share is the flight and the channel.
type writer struct {
	place  place
	delta  sink.Delta
	export *cloudevent.Export
	limit  cloudevent.Limit
	most   int // rows in a transaction

	final    sink.Mark // what is held when all is written
	whole    bool      // all rows are written
	sequence int64     // of the last event
	inside   load      // rows of the transaction
	shared   headers
	flight   *flight
	piece    *piece // that is being filled
	out      chan *piece
}

func (e *Emitter) newWriter(known *facts, delta sink.Delta, final sink.Mark) *writer {
	w := &writer{
		place: placeOf(delta.Inventory), delta: delta, final: final, most: e.records, limit: e.limit(known.maxSize),
		export: cloudevent.NewExport(delta.Inventory, delta.Generation, delta.Time, cloudevent.Schema(delta.Inventory)),
		flight: newFlight(e.frame), out: make(chan *piece, piecesAhead),
	}
	w.piece = w.flight.piece()
	return w
}

// plan finds out whether each event fits into a record, and whether all rows are
// written, before anything is.
func (w *writer) plan(ctx context.Context) error {
	var upserted int64
	var some []inventory.Update
	for u := range w.delta.Updates {
		if u.Row == nil {
			continue
		}
		upserted++
		if some = append(some, u); len(some) < planRows {
			continue
		}
		if err := w.fit(ctx, some); err != nil {
			return err
		}
		some = some[:0]
	}
	if err := w.fit(ctx, some); err != nil {
		return err
	}
	w.whole = upserted == w.delta.Rows && (w.delta.First() || w.delta.Base.Schema != w.delta.Schema) && !w.final.Forgotten
	return nil
}

// fit returns an error if the event of a row does not fit into a record.
func (w *writer) fit(ctx context.Context, upserts []inventory.Update) error {
	for _, u := range upserts {
		if !w.limit.MayExceed(u.Row) {
			continue
		}
		if _, err := rowEvent(w.limit, w.place, w.export, 0, u.Key, u.Row); err != nil {
			return sink.Permanent(err)
		}
	}
	return ctx.Err()
}

// write makes the records and sends them, the one beside the other.
func (w *writer) write(ctx context.Context, t *transaction) error {
	making, stop := context.WithCancel(ctx)
	var failed error
	go func() {
		defer close(w.out)
		failed = w.make(making)
	}()
	defer func() {
		stop()
		for range w.out { // until it has ended
		}
	}()
	for p := range w.out {
		if err := t.write(ctx, p); err != nil {
			return err
		}
	}
	return failed
}

// make makes all records, in their order.
func (w *writer) make(ctx context.Context) error {
	if err := w.marker(ctx, keyBegin, cloudevent.SnapshotBegin); err != nil {
		return err
	}
	for u := range inventory.Ahead(w.delta.Updates) {
		w.sequence++
		event, err := w.eventOf(u)
		if err != nil {
			return sink.Permanent(err)
		}
		if err := w.add(ctx, event.Subject(), event); err != nil {
			return err
		}
	}
	if err := w.marker(ctx, keyEnd, cloudevent.SnapshotEnd); err != nil {
		return err
	}
	return w.finish(ctx, w.final)
}

func (w *writer) eventOf(u inventory.Update) (*cloudevent.Event, error) {
	if u.Row == nil {
		return w.export.Deleted(w.sequence, u.Key, u.Origin), nil
	}
	return rowEvent(w.limit, w.place, w.export, w.sequence, u.Key, u.Row)
}

// marker makes what stands around all rows, if all are written.
func (w *writer) marker(ctx context.Context, key, kind string) error {
	if !w.whole {
		return nil
	}
	event, err := w.export.Marker(w.next(), kind, w.delta.Mark())
	if err != nil {
		return err
	}
	last := []byte(key)
	return w.record(ctx, last, event, sizeOf(w.place, last, event))
}

func (w *writer) next() string {
	w.sequence++
	return strconv.FormatInt(w.sequence, 10)
}

// add makes the record of a row in this transaction, or in another if this one is full.
func (w *writer) add(ctx context.Context, last []byte, event *cloudevent.Event) error {
	size := sizeOf(w.place, last, event)
	if w.inside.records >= w.most || w.inside.records > 0 && w.inside.bytes+size > transactionBytes {
		if err := w.finish(ctx, w.delta.Begun()); err != nil {
			return err
		}
	}
	w.inside.records++
	w.inside.bytes += size
	return w.record(ctx, last, event, size)
}

// finish ends the transaction with the mark as a checkpoint.
func (w *writer) finish(ctx context.Context, mark sink.Mark) error {
	event, err := w.export.Marker(w.next(), cloudevent.Checkpoint, mark)
	if err != nil {
		return err
	}
	last := []byte(keyCheckpoint)
	if err := w.record(ctx, last, event, sizeOf(w.place, last, event)); err != nil {
		return err
	}
	w.inside, w.piece.ends = load{}, &mark
	return w.handOver(ctx)
}

func (w *writer) record(ctx context.Context, last []byte, event *cloudevent.Event, size int) error {
	if !w.piece.fits(size) {
		if err := w.handOver(ctx); err != nil {
			return err
		}
	}
	w.piece.add(w.place, last, event, &w.shared, size)
	return nil
}

// handOver hands over the piece that was filled, to be sent.
func (w *writer) handOver(ctx context.Context) error {
	select {
	case w.out <- w.piece:
		w.piece = w.flight.piece()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
