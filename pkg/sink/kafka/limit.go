package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
	_, err := rowRecord(l, placeOf(of), cloudevent.NewExport(of, 1, time.Time{}, e.Schema(of)), 0, key, row)
	return err
}

// limit is that of a topic.
func (e *Emitter) limit(bytes int) cloudevent.Limit {
	return cloudevent.Limit{Bytes: bytes, Oversized: e.oversized, Field: "spec.kafka", Mend: "raise max.message.bytes of the topic"}
}

// rowRecord returns the record of a row, or of a reference to it.
func rowRecord(l cloudevent.Limit, p place, export *cloudevent.Export, sequence int64, key inventory.Key, row *inventory.Row) (*kgo.Record, error) {
	name := p.row(key)
	event, err := l.Fit(export, sequence, key, row, func(e *cloudevent.Event) int { return sizeOf(record(name, e)) + headroom })
	if err != nil {
		return nil, err
	}
	return record(name, event), nil
}

// sizeOf returns no less than what a record takes of a batch.
func sizeOf(r *kgo.Record) int {
	size := 32 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 6 + len(h.Key) + len(h.Value)
	}
	return size
}
