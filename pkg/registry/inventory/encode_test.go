package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/google/go-cmp/cmp"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// oddStore has rows with all that is hard to encode.
func oddStore() *inventory.Store {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	for _, ref := range []inventory.Ref{{Namespace: "team-a", Name: "apps"}, {Namespace: "team-b", Name: "empty"}, {Name: "platform.x"}} {
		addInventory(s, ref, 3)
		s.Update(func(tx *inventory.Tx) {
			target := targetOf(ref)
			for i, c := range []inventory.RowContent{
				{Resource: nodes, Name: "n", UID: "1"},
				{Resource: nodes, Name: "<a>&\u2028\"\\", UID: "2", Labels: map[string]string{"x/y": "<&>", "a": ""}, Attributes: []byte(`{"a":"\u003cb\u003e\u0026\u2028","b":[1,2.50,{"x":null}],"c":1e400,"d":""}`)},
				{Resource: deployments, Namespace: "n\xff", Name: "é\x01", UID: "3", Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))},
			} {
				if c.Target = target; i == 2 {
					c.Target = &inventory.TargetRef{Namespace: ref.Namespace, Name: ref.Name}
				}
				tx.Put(inventory.NewRow(c), "12")
			}
			tx.SetStatus(ref, inventory.Status{
				Generation: 3,
				Sinks:      []inventory.SinkState{{Name: "lake", Generation: 2, LastSuccess: created}, {Name: "new", LastError: "<no>", RetryTime: created}},
				Conditions: []inventory.Condition{{Type: "Synced", Status: "True", Reason: "Done", LastTransition: created}},
			})
		})
	}
	return s
}

// encoder returns the encoder that the API server uses for a media type.
func encoder(t testing.TB, s runtime.NegotiatedSerializer, mediaType string, pretty bool) runtime.Encoder {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(s.SupportedMediaTypes(), mediaType)
	if !ok {
		t.Fatalf("no serializer for %s", mediaType)
	}
	of := info.Serializer
	if pretty {
		of = info.PrettySerializer
	}
	return s.EncoderForVersion(of, inventoryv1alpha1.SchemeGroupVersion)
}

func TestJSONIsThatOfTypedObjects(t *testing.T) {
	serializer := NewSerializer(newScheme(t))
	encoders := map[string]runtime.Encoder{
		"json":   encoder(t, serializer, runtime.ContentTypeJSON, false),
		"pretty": encoder(t, serializer, runtime.ContentTypeJSON, true),
		"yaml":   encoder(t, serializer, runtime.ContentTypeYAML, false),
	}
	s := oddStore()
	id := jsonIdentifier(serializer)
	for name, encoder := range encoders {
		for _, scope := range []inventory.Scope{inventory.Namespaced, inventory.Cluster} {
			testEncoding(t, name, encoder, newStore(s, rows{scope}, id))
			testEncoding(t, name, encoder, newStore(s, heads{scope}, id))
		}
	}
}

func testEncoding[T object](t *testing.T, name string, encoder runtime.Encoder, s *store[T]) {
	t.Helper()
	remaining := int64(7)
	l := &list[T]{of: s, objects: s.kind.scan(s.store.State(), place{}, "")}
	l.ResourceVersion, l.Continue, l.RemainingItemCount = "12", "a<b", &remaining
	objects := map[runtime.Object]runtime.Object{
		l: l.GetObject(),
		&list[T]{of: s, objects: func(func(T) bool) {}}: s.kind.typedList(l.NewEmptyInstance().(*list[T]).ListMeta, func(func(T) bool) {}),
	}
	for o := range l.objects {
		objects[s.item(o)] = o.typed()
	}
	if len(objects) < 3 {
		t.Fatalf("%s: only %d objects", s.resource(), len(objects))
	}
	for object, typed := range objects {
		if diff := cmp.Diff(encode(t, encoder, typed), encode(t, encoder, object)); diff != "" {
			t.Errorf("%s as %s: (-typed +ours)\n%s", s.resource(), name, diff)
		}
	}
}

func encode(t testing.TB, encoder runtime.Encoder, object runtime.Object) string {
	t.Helper()
	var buf bytes.Buffer
	if err := encoder.Encode(object, &buf); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// writes notes the sizes of writes.
type writes struct{ sizes []int }

func (w *writes) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return len(p), nil
}

func TestListsAreWrittenInParts(t *testing.T) {
	serializer := NewSerializer(newScheme(t))
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 2000)
	rows := newStore(s, rows{inventory.Namespaced}, jsonIdentifier(serializer))
	var w writes
	l := &list[row]{of: rows, objects: rows.kind.scan(s.State(), place{}, "")}
	if err := encoder(t, serializer, runtime.ContentTypeJSON, false).Encode(l, &w); err != nil {
		t.Fatal(err)
	}
	if w.sizes[0] > 4 {
		t.Errorf("first write: got %d bytes, want 4 or fewer, so that compression is considered", w.sizes[0])
	}
	for i, size := range w.sizes[1:] {
		if last := i+2 == len(w.sizes); size > pieceSize || !last && size < pieceSize {
			t.Errorf("got a write of %d bytes, want one of %d", size, pieceSize)
		}
	}
	if len(w.sizes) < 4 {
		t.Errorf("got %d writes", len(w.sizes))
	}
}

func BenchmarkListJSON(b *testing.B) {
	serializer := NewSerializer(newScheme(b))
	encoder := encoder(b, serializer, runtime.ContentTypeJSON, false)
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	const n = 10_000
	addInventory(s, apps, n)
	rows := newStore(s, rows{inventory.Namespaced}, jsonIdentifier(serializer))
	l := &list[row]{of: rows, objects: rows.kind.scan(s.State(), place{}, "")}
	table := *l
	table.table, table.shape = &metav1.TableOptions{}, rows.kind.shape(s.State(), place{})
	for name, object := range map[string]func() runtime.Object{
		"rows":  func() runtime.Object { return l },
		"table": func() runtime.Object { return &table },
		"typed": l.GetObject,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var size int
			for b.Loop() {
				var w writes
				if err := encoder.Encode(object(), &w); err != nil {
					b.Fatal(err)
				}
				size = 0
				for _, s := range w.sizes {
					size += s
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
			b.ReportMetric(float64(size)/n, "B/row")
		})
	}
}

// failing fails from a write on, or panics.
type failing struct {
	left   int
	panics bool
}

var errGone = errors.New("the client is gone")

func (w *failing) Write(p []byte) (int, error) {
	if w.left--; w.left >= 0 {
		return len(p), nil
	}
	if w.panics {
		panic(errGone)
	}
	return 0, errGone
}

func TestAListThatCannotBeWrittenFails(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 4000)
	rows := newStore(s, rows{inventory.Namespaced}, "")
	l := &list[row]{of: rows, objects: rows.kind.scan(s.State(), place{}, "")}
	var all writes
	if err := l.writeJSON(&all); err != nil {
		t.Fatal(err)
	}
	for n := range len(all.sizes) {
		if err := l.writeJSON(&failing{left: n}); !errors.Is(err, errGone) {
			t.Errorf("write %d fails: got %v", n, err)
		}
	}
	byGoroutine := 0
	for n := range len(all.sizes) {
		err, panicked := recovered(func() error { return l.writeJSON(&failing{left: n, panics: true}) })
		if !strings.Contains(fmt.Sprint(err), errGone.Error()) {
			t.Errorf("write %d panics: got %v", n, err)
		}
		if !panicked {
			byGoroutine++
		}
	}
	if least := partSize / pieceSize; byGoroutine < least {
		t.Errorf("got %d writes by the goroutine, want %d or more", byGoroutine, least)
	}
}

// recovered returns what fn returns, or panics with.
func recovered(fn func() error) (result any, panicked bool) {
	defer func() {
		if reason := recover(); reason != nil {
			result, panicked = reason, true
		}
	}()
	return fn(), false
}
