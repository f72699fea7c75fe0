package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

const (
	// firstPiece is how many records the first piece is for, and maxPiece how many any
	// is; each is for pieceGrowth times as many as the one before.
	firstPiece  = 4
	maxPiece    = 64
	pieceGrowth = 4
	// maxPieceBytes is how much the records of a piece take at most, unless it is one.
	maxPieceBytes = 128 << 10
	// recordBytes is what most rows take.
	recordBytes = 640
	// maxValue is how large the values are that are in a piece's own memory: others
	// would leave much of that empty.
	maxValue = 1 << 10
	// maxHeaders is how many a record has: its event's attributes and the content type.
	maxHeaders = cloudevent.MaxAttributes + 1
)

// prefix is of CloudEvents' attributes in Kafka's headers.
const prefix = "ce_"

var contentType = kgo.RecordHeader{Key: "content-type", Value: []byte(cloudevent.ContentType)}

// piece is some records in a row of a transaction. Its memory is used again once they
// are written. One goroutine fills it, then another sends it.
type piece struct {
	records []kgo.Record
	sizes   []int
	made    int        // records
	size    int        // of all
	ends    *sink.Mark // what is held once the last record ends the transaction; nil: it does not

	frame   []byte // what values begin with
	headers []kgo.RecordHeader
	bytes   []byte // of keys, values, and what else is of one record alone

	// The flight's lock guards what follows.
	written int  // records
	sent    bool // all are on their way, and who sent them is done
	landed  func(*kgo.Record, error)
}

func newPiece(records int, frame []byte) *piece {
	return &piece{
		frame:   frame,
		records: make([]kgo.Record, records),
		sizes:   make([]int, records),
		headers: make([]kgo.RecordHeader, records*maxHeaders),
		bytes:   make([]byte, 0, records*recordBytes),
	}
}

// fits reports whether there is room for another record.
func (p *piece) fits(size int) bool {
	return p.made == 0 || p.made < len(p.records) && p.size+size <= maxPieceBytes
}

// add makes a record of that size. One without data has no value, which is what
// compaction takes for a key that is gone.
func (p *piece) add(place place, last []byte, event *cloudevent.Event, shared *headers, size int) {
	r, from := &p.records[p.made], p.made*maxHeaders
	*r = kgo.Record{Headers: p.headers[from : from : from+maxHeaders]}
	p.sizes[p.made] = size
	p.made++
	p.size += size
	at := len(p.bytes)
	p.bytes = append(append(append(p.bytes, place...), '/'), last...)
	r.Key = p.since(at)
	first := 0
	if event.Is(shared.kind) {
		r.Headers = append(r.Headers, shared.common[:]...)
		r.Headers[cloudevent.IDAttribute].Value = p.keep(event.ID())
		first = cloudevent.CommonAttributes
	}
	for i := first; i < event.Len(); i++ {
		name, value := event.Attribute(i)
		b := value.Bytes()
		if !value.Shared() {
			b = p.keep(b)
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: shared.of(i, name), Value: b})
	}
	shared.keep(event, r.Headers)
	if len(event.Data) > 0 {
		r.Value = p.value(event.Data)
		r.Headers = append(r.Headers, contentType)
	}
}

// value returns a copy, with what all values begin with.
func (p *piece) value(data []byte) []byte {
	if len(data) > maxValue {
		return slices.Concat(p.frame, data)
	}
	at := len(p.bytes)
	p.bytes = append(append(p.bytes, p.frame...), data...)
	return p.since(at)
}

// keep returns a copy.
func (p *piece) keep(b []byte) []byte {
	at := len(p.bytes)
	p.bytes = append(p.bytes, b...)
	return p.since(at)
}

// since returns what was kept from there on. It stays where it is if the memory grows.
func (p *piece) since(at int) []byte { return p.bytes[at:len(p.bytes):len(p.bytes)] }

// reset forgets the records.
func (p *piece) reset() {
	p.made, p.size, p.ends, p.bytes = 0, 0, nil, p.bytes[:0]
	p.written, p.sent = 0, false
}

// headers are what those of one export's records have in common, made once and not
// for each record.
type headers struct {
	names  []headerName
	kind   string // the type of the event before
	common [cloudevent.CommonAttributes]kgo.RecordHeader
}

type headerName struct{ attribute, header string }

// of returns the name of an event's n-th attribute, which is most often that of all.
func (h *headers) of(n int, attribute string) string {
	for n >= len(h.names) {
		h.names = append(h.names, headerName{})
	}
	name := &h.names[n]
	if name.attribute != attribute {
		*name = headerName{attribute, prefix + attribute}
	}
	return name.header
}

// keep keeps what the next event of the type has as well.
func (h *headers) keep(event *cloudevent.Event, made []kgo.RecordHeader) {
	if !event.Is(h.kind) {
		h.kind = event.Type()
		copy(h.common[:], made)
		h.common[cloudevent.IDAttribute].Value = nil
	}
}

// sizeOf returns no less than what an event's record takes of a batch.
func sizeOf(place place, last []byte, event *cloudevent.Event) int {
	return 64 + len(place) + len(last) + len(event.Data) + len(contentType.Key) + len(contentType.Value) +
		event.Size() + event.Len()*(6+len(prefix))
}
