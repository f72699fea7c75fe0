package kafka

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// headroom is for what a batch takes beside a record, and for generations and
// sequences of more digits.
const headroom = 256

// limit is how large records may be, in bytes, and what becomes of rows that would
// be larger.
type limit struct {
	bytes     int
	oversized kollectv1alpha1.OversizedRows
}

var _ sink.Limited = (*Emitter)(nil)

// Refuses says which rows take a record that is larger than the topic takes, unless
// they are published as references.
func (e *Emitter) Refuses(of *inventory.Inventory, key inventory.Key, row *inventory.Row) error {
	e.mu.Lock()
	l := limit{e.maxSize, e.oversized}
	e.mu.Unlock()
	if !l.mayExceed(row) {
		return nil
	}
	_, err := l.record(placeOf(of), cloudevent.NewExport(of, 1, time.Time{}, e.Schema(of)), 0, key, row)
	return err
}

// mayExceed tells most rows, of which nobody needs to know the exact size, from
// others.
func (l limit) mayExceed(row *inventory.Row) bool {
	return len(row.Attributes())+len(row.Labels()) >= l.bytes/2 // the rest is names
}

// record returns the record of a row, or of a reference to it.
func (l limit) record(p place, export *cloudevent.Export, sequence int64, key inventory.Key, row *inventory.Row) (*kgo.Record, error) {
	r := record(p.key(key.String()), export.Upserted(sequence, key, row))
	if !l.mayExceed(row) {
		return r, nil
	}
	size, mend := sizeOf(r)+headroom, ", or set spec.kafka.oversizedRows to Reference"
	if size > l.bytes && l.oversized == kollectv1alpha1.OversizedReference {
		r = record(r.Key, export.Referred(sequence, key, row))
		size, mend = sizeOf(r)+headroom, ""
	}
	if size > l.bytes {
		return nil, fmt.Errorf("%s of target %s takes a record of %d bytes, and the topic takes %d: raise max.message.bytes of the topic, leave large attributes out of the profile%s",
			describe(row), row.Target(), size, l.bytes, mend)
	}
	return r, nil
}

// describe names a row's object.
func describe(row *inventory.Row) string {
	name := row.Name()
	if row.Namespace() != "" {
		name = row.Namespace() + "/" + name
	}
	return row.Resource().Kind + " " + name
}

// sizeOf returns no less than what a record takes of a batch.
func sizeOf(r *kgo.Record) int {
	size := 32 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += 6 + len(h.Key) + len(h.Value)
	}
	return size
}
