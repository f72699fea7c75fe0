package kafka

import (
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// headroom is for what a batch takes beside a record, and for generations and
// sequences of more digits.
const headroom = 256

var _ sink.Limited = (*Emitter)(nil)

// Refuses says which rows take a record that is larger than the topic takes, unless
// they are published as references.
func (e *Emitter) Refuses(of *inventory.Inventory, key inventory.Key, row *inventory.Row) error {
	e.mu.Lock()
	l := e.limit(e.maxSize)
	e.mu.Unlock()
	if !l.MayExceed(row) {
		return nil
	}
	_, err := rowEvent(l, placeOf(of), cloudevent.NewExport(of, 1, time.Time{}, e.Schema(of)), 0, key, row)
	return err
}

// limit is that of a topic.
func (e *Emitter) limit(bytes int) cloudevent.Limit {
	return cloudevent.Limit{Bytes: bytes, Oversized: e.oversized, Field: "spec.kafka", Mend: "raise max.message.bytes of the topic"}
}

// rowEvent returns the event of a row, or of a reference to it.
func rowEvent(l cloudevent.Limit, p place, export *cloudevent.Export, sequence int64, key inventory.Key, row *inventory.Row) (*cloudevent.Event, error) {
	return l.Fit(export, sequence, key, row, func(e *cloudevent.Event) int { return sizeOf(p, e.Subject(), e) + headroom })
}
