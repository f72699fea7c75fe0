package nats

import (
	"github.com/nats-io/nats.go"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// prefix is of CloudEvents' attributes in NATS's headers.
const prefix = "ce-"

// headers that the server acts upon.
const (
	headerExpect        = "Nats-Expected-Last-Subject-Sequence"
	headerExpectSubject = "Nats-Expected-Last-Subject-Sequence-Subject"
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
	headerTTL           = "Nats-TTL"
)

// statusNoResponders answers a message that nobody takes.
const (
	headerStatus       = "Status"
	statusNoResponders = "503"
)

const contentTypeName = prefix + "datacontenttype"

// messages makes messages, and uses the memory of those that it made before again. An
// event's message is one that the server takes once.
type messages struct {
	place place
	names map[string]string           // of headers, by those of attributes
	kinds map[inventory.Origin]string // what subjects of rows begin with
	made  []message
	used  int    // how many of those are in use, from the first
	data  []byte // of those in use
}

// message is one, and how many attributes its event has: those of as many have the
// same headers.
type message struct {
	msg        *nats.Msg
	attributes int
}

func newMessages(p place) *messages {
	return &messages{place: p, names: map[string]string{}, kinds: map[inventory.Origin]string{}}
}

// subject returns that of a row.
func (m *messages) subject(origin inventory.Origin, event *cloudevent.Event) string {
	origin.Target = inventory.TargetRef{}
	begin, known := m.kinds[origin]
	if !known {
		begin = m.place.rows(origin)
		m.kinds[origin] = begin
	}
	return begin + string(event.Subject())
}

// reset ends the use of all messages.
func (m *messages) reset() { m.used, m.data = 0, m.data[:0] }

// next returns the event as a message, which is in use until reset.
func (m *messages) next(subject string, event *cloudevent.Event) *nats.Msg {
	if m.used == len(m.made) {
		m.made = append(m.made, message{msg: &nats.Msg{Header: make(nats.Header, 18)}})
	}
	next := &m.made[m.used]
	m.used++
	msg := next.msg
	if n := event.Len(); next.attributes != n {
		clear(msg.Header)
		next.attributes = n
	}
	msg.Subject = subject
	for name, value := range event.Attributes {
		text := value.String()
		set(msg.Header, m.name(name), text)
		if name == "id" {
			set(msg.Header, nats.MsgIdHdr, text)
		}
	}
	if len(event.Data) > 0 {
		set(msg.Header, contentTypeName, cloudevent.ContentType)
	}
	at := len(m.data)
	m.data = append(m.data, event.Data...)
	msg.Data = m.data[at:len(m.data):len(m.data)]
	return msg
}

// set sets a header, in the memory of the one of that name if there is one.
func set(h nats.Header, name, value string) {
	if values := h[name]; len(values) == 1 {
		values[0] = value
	} else {
		h[name] = []string{value}
	}
}

func (m *messages) name(attribute string) string {
	name, known := m.names[attribute]
	if !known {
		name = prefix + attribute
		m.names[attribute] = name
	}
	return name
}

// sizeOf returns what an event's message takes of the server's and the stream's
// limits.
func sizeOf(event *cloudevent.Event) int {
	size := len("NATS/1.0\r\n\r\n") + len(event.Data) + line(nats.MsgIdHdr, len(event.ID()))
	for name, value := range event.Attributes {
		size += line(prefix, len(name)+len(value.Bytes()))
	}
	if len(event.Data) > 0 {
		size += line(contentTypeName, len(cloudevent.ContentType))
	}
	return size
}

// line is the size of a header.
func line(name string, value int) int { return len(name) + len(": ") + value + len("\r\n") }
