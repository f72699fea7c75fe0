package kafka

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

const (
	// transactionRecords and transactionBytes bound a transaction: who reads what is
	// committed alone waits for its end, and so does the retry of one that failed.
	transactionRecords = 50_000
	transactionBytes   = 64 << 20
)

// writer writes one delta.
type writer struct {
	*transaction
	place  place
	delta  sink.Delta
	export *cloudevent.Export
	limit  cloudevent.Limit
	most   int // records in a transaction

	final    sink.Mark // what is held when all is written
	whole    bool      // all rows are written
	sequence int64     // of the last event
	records  int       // in the transaction
	size     int       // of those
}

func (e *Emitter) newWriter(known *facts, delta sink.Delta, final sink.Mark) *writer {
	return &writer{
		place: placeOf(delta.Inventory), delta: delta, final: final, most: e.records, limit: e.limit(known.maxSize),
		export: cloudevent.NewExport(delta.Inventory, delta.Generation, delta.Time, cloudevent.Schema(delta.Inventory)),
	}
}

// plan finds out whether each event fits into a record, and whether all rows are
// written, before anything is.
func (w *writer) plan(ctx context.Context) error {
	var upserted int64
	for u := range w.delta.Updates {
		if u.Row == nil {
			continue
		}
		if upserted++; upserted%1000 == 0 && ctx.Err() != nil {
			break
		}
		if !w.limit.MayExceed(u.Row) {
			continue
		}
		if _, err := rowRecord(w.limit, w.place, w.export, 0, u.Key, u.Row); err != nil {
			return sink.Permanent(err)
		}
	}
	w.whole = upserted == w.delta.Rows && (w.delta.First() || w.delta.Base.Schema != w.delta.Schema) && !w.final.Forgotten
	return ctx.Err()
}

func (w *writer) write(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	if err := w.marker(ctx, keyBegin, cloudevent.SnapshotBegin); err != nil {
		return err
	}
	for u := range w.delta.Updates {
		w.sequence++
		r, err := w.recordOf(u)
		if err != nil {
			return sink.Permanent(err)
		}
		if err := w.send(ctx, r); err != nil {
			return err
		}
	}
	if err := w.marker(ctx, keyEnd, cloudevent.SnapshotEnd); err != nil {
		return err
	}
	return w.finish(ctx, w.final)
}

func (w *writer) recordOf(u inventory.Update) (*kgo.Record, error) {
	if u.Row == nil {
		return record(w.place.row(u.Key), w.export.Deleted(w.sequence, u.Key, u.Origin)), nil
	}
	return rowRecord(w.limit, w.place, w.export, w.sequence, u.Key, u.Row)
}

// marker writes what stands around all rows, if all are written.
func (w *writer) marker(ctx context.Context, key, kind string) error {
	if !w.whole {
		return nil
	}
	event, err := w.export.Marker(w.next(), kind, w.delta.Mark())
	if err != nil {
		return err
	}
	return w.send(ctx, record(w.place.key(key), event))
}

func (w *writer) next() string {
	w.sequence++
	return strconv.FormatInt(w.sequence, 10)
}

// send writes the record in this transaction, or in another if this one is full.
func (w *writer) send(ctx context.Context, r *kgo.Record) error {
	size := sizeOf(r)
	if w.records >= w.most || w.records > 0 && w.size+size > transactionBytes {
		if err := w.finish(ctx, w.delta.Begun()); err != nil {
			return err
		}
		if err := w.begin(); err != nil {
			return err
		}
		w.records, w.size = 0, 0
	}
	w.records++
	w.size += size
	return w.add(ctx, r)
}

// finish ends the transaction with the mark as a checkpoint.
func (w *writer) finish(ctx context.Context, mark sink.Mark) error {
	event, err := w.export.Marker(w.next(), cloudevent.Checkpoint, mark)
	if err != nil {
		return err
	}
	return w.commit(ctx, record(w.place.key(keyCheckpoint), event), mark)
}
