package nats

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// headroom is for the headers that a message has in a batch, and for generations
// and sequences of more digits.
const headroom = 256

// limit is how large messages may be, in bytes, and what becomes of rows that
// would be larger.
type limit struct {
	bytes     int
	oversized kollectv1alpha1.OversizedRows
}

var _ sink.Limited = (*Emitter)(nil)

// Refuses says which rows take a message that is larger than the server or the
// stream takes, unless they are published as references.
func (e *Emitter) Refuses(of *inventory.Inventory, key inventory.Key, row *inventory.Row) error {
	e.mu.Lock()
	known := e.known
	e.mu.Unlock()
	l := e.limit(known)
	if !l.mayExceed(row) {
		return nil
	}
	_, err := l.message(placeOf(of), cloudevent.NewExport(of, 1, time.Time{}, e.Schema(of)), 0, key, row)
	return err
}

// limit is that of the server and of the stream, if it is known.
func (e *Emitter) limit(known *facts) limit {
	l := limit{int(e.conn.MaxPayload()), e.oversized}
	if known != nil && known.maxSize > 0 {
		l.bytes = min(l.bytes, known.maxSize)
	}
	return l
}

// mayExceed tells most rows, of which nobody needs to know the exact size, from
// others.
func (l limit) mayExceed(row *inventory.Row) bool {
	return len(row.Attributes())+len(row.Labels()) >= l.bytes/2 // the rest is names
}

// message returns the message of a row, or of a reference to it.
func (l limit) message(p place, export *cloudevent.Export, sequence int64, key inventory.Key, row *inventory.Row) (*nats.Msg, error) {
	subject := p.row(key, row.Origin())
	m := message(subject, export.Upserted(sequence, key, row))
	if !l.mayExceed(row) {
		return m, nil
	}
	size, mend := sizeOf(m)+headroom, ", or set spec.nats.oversizedRows to Reference"
	if size > l.bytes && l.oversized == kollectv1alpha1.OversizedReference {
		m = message(subject, export.Referred(sequence, key, row))
		size, mend = sizeOf(m)+headroom, ""
	}
	if size > l.bytes {
		return nil, fmt.Errorf("%s of target %s takes a message of %d bytes, and the server and stream take %d: raise max_payload of the server and max_msg_size of the stream, leave large attributes out of the profile%s",
			describe(row), row.Target(), size, l.bytes, mend)
	}
	return m, nil
}

// describe names a row's object.
func describe(row *inventory.Row) string {
	name := row.Name()
	if row.Namespace() != "" {
		name = row.Namespace() + "/" + name
	}
	return row.Resource().Kind + " " + name
}

// sizeOf returns what a message takes of the server's and the stream's limits.
func sizeOf(m *nats.Msg) int {
	size := len("NATS/1.0\r\n\r\n") + len(m.Data)
	for name, values := range m.Header {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}
