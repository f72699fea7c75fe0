package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var ref = inventory.Ref{Namespace: "team-a", Name: "apps"}

// at is the time of the export of a generation.
func at(generation int64) time.Time {
	return time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC).Add(time.Duration(generation) * time.Minute)
}

// resume reads back what the stream holds.
func resume(ctx context.Context, e *nats.Emitter, of *inventory.Inventory) (*inventory.Base, sink.Mark, error) {
	mark, err := e.Mark(ctx, of)
	if err != nil {
		return nil, mark, fmt.Errorf("mark: %w", err)
	}
	var rows []inventory.Held
	err = e.Held(ctx, of, func(h inventory.Held) error {
		rows = append(rows, h)
		return nil
	})
	return inventory.NewBase(rows), mark, err
}

func deltaOf(base *inventory.Base, mark sink.Mark, s *inventory.Snapshot, generation int64, schema string) sink.Delta {
	return sink.Delta{
		Inventory: s.Inventory(), Base: mark, Generation: generation, Time: at(generation), Schema: schema,
		Hash: s.Hash().String(), Rows: int64(s.Len()), Updates: base.Diff(s, nil),
	}
}

// mustExport exports as a process that has just started.
func mustExport(t *testing.T, e *nats.Emitter, s *inventory.Snapshot, generation int64) {
	t.Helper()
	base, mark, err := resume(t.Context(), e, s.Inventory())
	if err != nil {
		t.Fatalf("resume: %v", err)
	}
	if _, err := e.Publish(t.Context(), deltaOf(base, mark, s, generation, e.Schema(s.Inventory()))); err != nil {
		t.Fatalf("publish generation %d: %v", generation, err)
	}
}

func mustRead(t *testing.T, d *destination, s *inventory.Snapshot, generation int64) {
	t.Helper()
	got, err := d.Read(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	want := &sinktest.Content{Generation: generation, Rows: map[string]string{}}
	for e := range s.All() {
		want.Rows[e.Key.String()] = e.Row.Attributes()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("a reader sees: -want +got\n%s", diff)
	}
}

// The server restarts while an export has come to its third batch.
func TestServerRestartsMidway(t *testing.T) {
	for name, atomic := range map[string]bool{"with atomic batches": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			s := start(t, o)
			o.Port = s.Addr().(*net.TCPAddr).Port
			d := newDestination(t, s.ClientURL(), jetstream.StreamConfig{
				Name: streamName, Subjects: []string{"kollect.v1.>"}, Storage: jetstream.FileStorage, AllowAtomicPublish: atomic,
			})
			e := d.open(t)
			defer e.Close()
			sample := sinktest.NewSample(ref)
			sample.Fill(100)
			mustExport(t, e, sample.Snapshot(), 1)
			sample.Delete()
			sample.Set("web", "nginx:1.27")
			sample.Fill(2600)

			base, mark, err := resume(t.Context(), e, sample.Snapshot().Inventory())
			if err != nil {
				t.Fatal(err)
			}
			delta := deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(sample.Snapshot().Inventory()))
			rounds, updates := 0, delta.Updates
			delta.Updates = func(yield func(inventory.Update) bool) {
				n := 0
				rounds++
				for u := range updates {
					if n++; n == 2500 && rounds == 2 {
						stop(s)
						s = start(t, o)
					}
					if !yield(u) {
						return
					}
				}
			}
			if _, err := e.Publish(t.Context(), delta); err == nil {
				t.Log("the export went on after the restart")
			} else if errors.Is(err, sink.ErrFenced) || sink.IsPermanent(err) {
				t.Errorf("error is %v", err)
			}
			sample.Set("api", "nginx:1.28")
			mustExport(t, e, sample.Snapshot(), 3)
			mustRead(t, d, sample.Snapshot(), 3)
		})
	}
}

// gate holds back what the server answers.
type gate struct {
	mu     sync.Mutex
	open   *sync.Cond
	closed bool
}

func newGate() *gate {
	g := &gate{}
	g.open = sync.NewCond(&g.mu)
	return g
}

func (g *gate) set(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
	g.open.Broadcast()
}

func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return gatedConn{conn, g}, err
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	for c.gate.closed {
		c.gate.open.Wait()
	}
	return n, err
}

// A batch is written, but the answer comes when nobody waits for it any more.
func TestAnswerComesLate(t *testing.T) {
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), history(1, true))
	gate := newGate()
	e, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: d.address, Stream: streamName}, nil, nats.Options{Dial: gate.dial})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Set("web", "nginx:1.27")
	of := sample.Snapshot().Inventory()
	mustExport(t, e, sample.Snapshot(), 1)

	sample.Set("web", "nginx:1.28")
	base, mark, err := resume(t.Context(), e, of)
	if err != nil {
		t.Fatal(err)
	}
	delta := deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(of))
	rounds, updates := 0, delta.Updates
	delta.Updates = func(yield func(inventory.Update) bool) {
		if rounds++; rounds == 2 {
			gate.set(true)
		}
		updates(yield)
	}
	ctx, cancel := context.WithCancel(t.Context())
	published := make(chan error, 1)
	go func() {
		_, err := e.Publish(ctx, delta)
		published <- err
	}()
	until(t, "the batch is written", func() bool { return d.generation(t, of) == 2 })
	cancel()
	if err := <-published; !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	gate.set(false)

	if got, err := e.Mark(t.Context(), of); err != nil || !cmp.Equal(got, delta.Mark()) {
		t.Errorf("mark is %+v, %v", got, err)
	}
	if _, err := e.Publish(t.Context(), delta); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("the same once more: %v", err)
	}
	mustRead(t, d, sample.Snapshot(), 2)
	sample.Set("web", "nginx:1.29")
	mustExport(t, e, sample.Snapshot(), 3)
	mustRead(t, d, sample.Snapshot(), 3)
}

// generation is of the newest checkpoint.
func (d *destination) generation(t *testing.T, of *inventory.Inventory) (generation int64) {
	t.Helper()
	err := d.consume(t.Context(), of, func(kind string, m jetstream.Msg) error {
		var mark struct{ Generation int64 }
		if kind != "io.kollect.checkpoint.v1" {
			return nil
		}
		err := json.Unmarshal(m.Data(), &mark)
		generation = mark.Generation
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return generation
}

func TestStreamIsDeleted(t *testing.T) {
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), jetstream.StreamConfig{})
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(50)
	of := sample.Snapshot().Inventory()
	mustExport(t, e, sample.Snapshot(), 1)
	base, mark, err := resume(t.Context(), e, of)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.js.DeleteStream(t.Context(), streamName); err != nil {
		t.Fatal(err)
	}
	sample.Set("web", "nginx:1.27")
	if _, err := e.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(of))); err == nil || sink.IsPermanent(err) {
		t.Errorf("publish: %v", err)
	}
	if _, err := e.Confirm(t.Context(), of, mark, at(3)); err == nil || sink.IsPermanent(err) {
		t.Errorf("confirm: %v", err)
	}
	until(t, "the stream is made again", func() bool { // the server may still remove its files
		got, err := e.Mark(t.Context(), of)
		if got != (sink.Mark{}) || sink.IsPermanent(err) {
			t.Fatalf("mark is %+v, %v", got, err)
		}
		return err == nil
	})
	mustExport(t, e, sample.Snapshot(), 4)
	mustRead(t, d, sample.Snapshot(), 4)
}

// The stream that the sink creates keeps one message of each row, and what is
// gone expires.
func TestStreamOfTheSink(t *testing.T) {
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), jetstream.StreamConfig{})
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	for generation := int64(1); generation <= 4; generation++ {
		sample.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		sample.Set("api", "nginx:1.27")
		if generation == 4 {
			sample.Delete("api")
		}
		mustExport(t, e, sample.Snapshot(), generation)
	}
	mustRead(t, d, sample.Snapshot(), 4)
	var kinds []string
	err := d.consume(t.Context(), sample.Snapshot().Inventory(), func(kind string, m jetstream.Msg) error {
		kinds = append(kinds, kind)
		if ttl := m.Headers().Get("Nats-TTL"); (ttl != "") != (kind == "io.kollect.row.deleted.v1") {
			t.Errorf("message of type %s expires after %q", kind, ttl)
		}
		return nil
	})
	want := []string{
		"io.kollect.snapshot.begin.v1", "io.kollect.snapshot.end.v1",
		"io.kollect.row.upserted.v1", "io.kollect.row.deleted.v1", "io.kollect.checkpoint.v1",
	}
	if diff := cmp.Diff(want, kinds, sorted); err != nil || diff != "" {
		t.Errorf("messages: %v, -want +got\n%s", err, diff)
	}
}

// sorted ignores the order.
var sorted = cmp.Transformer("sort", func(s []string) map[string]int {
	m := map[string]int{}
	for _, e := range s {
		m[e]++
	}
	return m
})
