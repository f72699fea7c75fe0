package nats_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// A leader that was paused goes on with a large export after another has read what
// there was of it, and again after that one has exported.
func TestOvertakenMidway(t *testing.T) {
	d := newDestination(t, start(t, options(t.TempDir())).ClientURL(), history(1, true))
	paused, leader := d.open(t), d.open(t)
	defer paused.Close()
	defer leader.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(2200)
	all := sample.Snapshot()
	of := all.Inventory()
	var base *inventory.Base
	var mark sink.Mark
	var read uint64
	steps := map[int]func(){
		1050: func() {
			until(t, "a part is there", func() bool {
				var err error
				if base, mark, err = resume(t.Context(), leader, of); err != nil {
					t.Fatal(err)
				}
				return base.Len() > 0
			})
			read = d.last(t)
			for u := range base.Diff(all, nil) {
				sample.Delete(u.Row.Name())
			}
			sample.Set("web", "nginx:1.27")
		},
		2100: func() {
			until(t, "more is there", func() bool { return d.last(t) > read })
			_, err := leader.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), 2, leader.Schema(of)))
			if !errors.Is(err, sink.ErrFenced) {
				t.Errorf("after a part was read: %v", err)
			}
			mustOvertake(t, leader, sample.Snapshot(), 3)
		},
	}
	delta := deltaOf(inventory.NewBase(nil), sink.Mark{}, all, 1, paused.Schema(of))
	rounds, updates := 0, delta.Updates
	delta.Updates = func(yield func(inventory.Update) bool) {
		n := 0
		rounds++
		for u := range updates {
			if step := steps[n]; step != nil && rounds == 2 {
				step()
			}
			if n++; !yield(u) {
				return
			}
		}
	}
	if _, err := paused.Publish(t.Context(), delta); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("after another has exported: %v", err)
	}
	mustRead(t, d, sample.Snapshot(), 3)
	kind := ""
	err := d.consume(t.Context(), of, func(is string, _ jetstream.Msg) error {
		kind = is
		return nil
	})
	if err != nil || kind != "io.kollect.checkpoint.v1" {
		t.Errorf("the last message is of type %s, %v", kind, err)
	}
}

// last is the stream's last sequence.
func (d *destination) last(t *testing.T) uint64 {
	t.Helper()
	stream, err := d.js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// mustOvertake exports as often as it takes: what another has sent may still come in.
func mustOvertake(t *testing.T, e *nats.Emitter, s *inventory.Snapshot, generation int64) {
	t.Helper()
	until(t, "an export goes through", func() bool {
		base, mark, err := resume(t.Context(), e, s.Inventory())
		if err == nil {
			_, err = e.Publish(t.Context(), deltaOf(base, mark, s, generation, e.Schema(s.Inventory())))
		}
		if err != nil && !errors.Is(err, sink.ErrFenced) {
			t.Fatal(err)
		}
		return err == nil
	})
}
