package inventory

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"kollect.io/kollect/pkg/inventory"
)

// transition is what an event changes for the watches of a resource.
type transition[T object] struct {
	version       uint64
	before, after T
	was, is       bool
}

func newTransition[T object](k kind[T], e *inventory.Event) transition[T] {
	t := transition[T]{version: e.Version}
	t.before, t.after, t.was, t.is = k.change(e)
	return t
}

// event returns what the transition is to those who select by matches, and false
// if it is nothing.
func (t *transition[T]) event(of *store[T], matches func(T) bool, shape *shape) (watch.Event, bool) {
	was, is := t.was && matches(t.before), t.is && matches(t.after)
	switch {
	case was && is:
		return watch.Event{Type: watch.Modified, Object: of.events.get(of.watched(t.after, shape), t.version, false)}, true
	case is:
		return watch.Event{Type: watch.Added, Object: of.events.get(of.watched(t.after, shape), t.version, false)}, true
	case was:
		return watch.Event{Type: watch.Deleted, Object: of.events.get(of.watched(t.before, shape), t.version, true)}, true
	}
	return watch.Event{}, false
}

// watched returns an object for a watch.
func (s *store[T]) watched(object T, shape *shape) *item[T] {
	return &item[T]{of: s, object: object, shape: shape, outer: watchEncoders}
}

// memoSize is how many of the newest events are encoded once for all watches.
const memoSize = 1024

// eventSize is about what an event takes in JSON.
const eventSize = 1 << 10

// memo finds the shared object of an event. Its slots are replaced as newer
// events come; readers never lock.
type memo[T object] struct {
	current, deleted [memoSize]atomic.Pointer[event[T]]
}

// get returns the object of the event of that version, the last one before it
// if it was deleted. made is that object for a watch that is the first to ask.
func (m *memo[T]) get(made *item[T], version uint64, deleted bool) runtime.Object {
	slots := &m.current
	if deleted {
		slots = &m.deleted
	}
	slot := &slots[version%memoSize]
	shared := slot.Load()
	if shared == nil || shared.version != version {
		mine := &event[T]{version: version}
		if slot.CompareAndSwap(shared, mine) {
			shared = mine
		} else if shared = slot.Load(); shared.version != version {
			shared = mine
		}
	}
	return &view[T]{event: shared, item: made}
}

// event is what an event's watches share: its encodings.
type event[T object] struct {
	version uint64

	mu        sync.Mutex  // guards what follows
	encodings []*encoding // few: there are few forms
}

// encodingKey tells encodings apart: by the encoder, and for tables by their
// shape.
type encodingKey struct {
	encoder runtime.Identifier
	shape   string // its id
}

type encoding struct {
	key  encodingKey
	once sync.Once
	raw  []byte
	err  error
}

func (e *event[T]) encoding(key encodingKey) *encoding {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, known := range e.encodings {
		if known.key == key {
			return known
		}
	}
	made := &encoding{key: key}
	e.encodings = append(e.encodings, made)
	return made
}

// view is an event's object for the watches of one shape.
type view[T object] struct {
	event *event[T]
	item  *item[T]
}

var (
	_ runtime.CacheableObject   = &view[row]{}
	_ metav1.ObjectMetaAccessor = &view[row]{}
)

// CacheEncode writes what an encoder makes of the event, which it is asked for
// once for all watches.
func (v *view[T]) CacheEncode(id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	encoding := v.event.encoding(encodingKey{id, v.item.shape.id()})
	encoding.once.Do(func() {
		if what, ok := v.item.of.watchJSON[id]; ok {
			encoding.raw = v.item.appendEvent(what)
			return
		}
		var buf bytes.Buffer
		encoding.err = v.item.CacheEncode(id, encode, &buf)
		encoding.raw = buf.Bytes()
	})
	if encoding.err != nil {
		return encoding.err
	}
	if splice, ok := w.(runtime.Splice); ok {
		splice.Splice(encoding.raw)
		return nil
	}
	_, err := w.Write(encoding.raw)
	return err
}

// GetObject returns the API object.
func (v *view[T]) GetObject() runtime.Object        { return v.item.GetObject() }
func (v *view[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the object itself, which never changes.
func (v *view[T]) DeepCopyObject() runtime.Object { return v }

// GetObjectMeta returns a copy of the object's metadata.
func (v *view[T]) GetObjectMeta() metav1.Object { return v.item.GetObjectMeta() }

// appendEvent returns what the encoder of watch events makes of an event of the
// item as JSON, without looking at the item's JSON again.
func (i *item[T]) appendEvent(what watch.EventType) []byte {
	buf := append(make([]byte, 0, eventSize), `{"type":"`...)
	buf = append(append(buf, what...), `","object":`...)
	buf = i.of.kind.appender().object(buf, i.object, i.of.kind.names().typeMeta(""))
	return append(buf, "}\n"...)
}

// watchIdentifiers returns, by their identifiers, which events the encoders of
// watch events encode as JSON, if both the event and its object are encoded by the
// encoder that has the identifier.
func watchIdentifiers(encoder runtime.Identifier) map[runtime.Identifier]watch.EventType {
	types := map[runtime.Identifier]watch.EventType{}
	for _, what := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		types[watchIdentifier(encoder, what)] = what
	}
	return types
}

func watchIdentifier(encoder runtime.Identifier, what watch.EventType) runtime.Identifier {
	// As in k8s.io/apiserver/pkg/endpoints/handlers, which does not export it.
	id, err := json.Marshal(struct {
		Name            string `json:"name,omitempty"`
		EmbeddedEncoder string `json:"embeddedEncoder,omitempty"`
		Encoder         string `json:"encoder,omitempty"`
		EventType       string `json:"eventType,omitempty"`
	}{"watch", string(encoder), string(encoder), string(what)})
	if err != nil { // strings always encode
		panic(err)
	}
	return runtime.Identifier(id)
}
