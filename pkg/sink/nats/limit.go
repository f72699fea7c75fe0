package nats

import (
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// headroom is for the headers that a message has in a batch, and for generations
// and sequences of more digits.
const headroom = 256

var _ sink.Limited = (*Emitter)(nil)

// Refuses says which rows take a message that is larger than the server or the
// stream takes, unless they are published as references.
func (e *Emitter) Refuses(of *inventory.Inventory, key inventory.Key, row *inventory.Row) error {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	l := e.limit(known)
	if !l.MayExceed(row) {
		return nil
	}
	_, err := rowEvent(l, cloudevent.NewExport(of, 1, time.Time{}, e.Schema(of)), 0, key, row)
	return err
}

// limit is that of the server and of the stream, if it is known.
func (e *Emitter) limit(known *facts) cloudevent.Limit {
	l := cloudevent.Limit{
		Bytes: int(e.conn.MaxPayload()), Oversized: e.oversized, Field: "spec.nats",
		Mend: "raise max_payload of the server and max_msg_size of the stream",
	}
	if known != nil && known.maxSize > 0 {
		l.Bytes = min(l.Bytes, known.maxSize)
	}
	return l
}

// rowEvent returns the event of a row, or of a reference to it.
func rowEvent(l cloudevent.Limit, export *cloudevent.Export, sequence int64, key inventory.Key, row *inventory.Row) (*cloudevent.Event, error) {
	return l.Fit(export, sequence, key, row, func(e *cloudevent.Event) int { return sizeOf(e) + headroom })
}
