package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// testWhole reads while a store writes.
func testWhole(t *testing.T, d Relational) {
	s := NewSample(ref)
	s.Fill(50)
	of := s.Snapshot().Inventory()
	k := keepers{read: d.Read, atomic: true}
	k.open = func(t *testing.T) keeper { store := d.Open(t); return keeper{store, store.Apply} }
	w := k.start(t, of)
	h := history{plain: true}
	stop := h.follow(t, d.Read, of)
	defer stop()
	for generation := int64(1); generation <= 12; generation++ {
		s.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		s.Set("api", fmt.Sprintf("nginx:1.%d", generation))
		if generation%3 == 0 {
			s.Delete("web")
		}
		h.add(s.Snapshot(), generation)
		w.mustExport(t, k, s.Snapshot(), generation)
	}
}

// testSettles has several processes export at once, as no leader election should
// let them: one export after them puts all right, and none that was refused left
// what a reader takes for current.
func testSettles(t *testing.T, d keepers) {
	const writers, rounds = 4, 8
	s := NewSample(ref)
	s.Fill(20)
	of := s.Snapshot().Inventory()
	h := history{plain: true}
	var all sync.WaitGroup
	var mu sync.Mutex // guards s, newest and h's order
	generation, newest := int64(0), int64(0)
	one := func(w *writer) error {
		if err := w.tryResume(t.Context(), of); err != nil {
			return err
		}
		mu.Lock()
		generation++
		mine := generation
		s.Set("web", fmt.Sprintf("nginx:1.%d", mine))
		s.Set(fmt.Sprintf("app-%d", mine%3), fmt.Sprintf("nginx:1.%d", mine))
		if mine%2 == 0 {
			s.Delete(fmt.Sprintf("app-%d", mine%3))
		}
		snapshot := s.Snapshot()
		h.add(snapshot, mine)
		mu.Unlock()
		if err := w.export(t.Context(), snapshot, mine); err != nil {
			return err
		}
		mu.Lock()
		newest = max(newest, mine)
		mu.Unlock()
		return nil
	}
	for range writers {
		w := d.start(t, of)
		all.Go(func() {
			for range rounds {
				if err := one(w); err != nil && !errors.Is(err, sink.ErrFenced) {
					t.Errorf("export: %v", err)
				}
			}
		})
	}
	all.Wait()
	w := d.start(t, of)
	if newest == 0 || w.mark.Generation < newest || d.atomic && w.mark.Generation > newest {
		t.Fatalf("the destination holds generation %d, %d was the newest that was written", w.mark.Generation, newest)
	}
	if d.atomic {
		got, err := d.read(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h.of(newest), plain(got)); diff != "" {
			t.Errorf("the newest that was written is not what readers see: -want +got\n%s", diff)
		}
	}
	w.mustExport(t, d, s.Snapshot(), generation+1)
}

// testOnce counts events.
func testOnce(t *testing.T, d Events) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	k := keepers{read: d.Read, open: func(t *testing.T) keeper { emitter := d.Open(t); return keeper{emitter, emitter.Publish} }}
	w := k.start(t, of)
	var want []Event
	generation := int64(0)
	export := func() {
		t.Helper()
		for u := range w.base.Diff(s.Snapshot(), nil) {
			e := Event{Key: u.Key.String()}
			if u.Row != nil {
				e.Attributes = u.Row.Attributes()
			}
			want = append(want, e)
		}
		generation++
		w.mustExport(t, k, s.Snapshot(), generation)
	}
	s.Fill(30)
	export()
	s.Set("web", "nginx:1.27")
	export()
	s.Set("web", "nginx:1.28")
	s.Delete("app-0000004")
	export()
	w = k.start(t, of)
	s.Set("web", "nginx:1.27") // as it was before
	export()
	export() // nothing
	s.Delete()
	export()
	mustLog(t, d, of, want)
}

func mustLog(t *testing.T, d Events, of *inventory.Inventory, want []Event) {
	t.Helper()
	got, err := d.Log(context.WithoutCancel(t.Context()), of)
	if err != nil {
		t.Fatalf("log: %v", err)
	}
	ids := map[string]bool{}
	for i, e := range got {
		if e.ID == "" || ids[e.ID] {
			t.Errorf("event %d has the id %q, as another has", i, e.ID)
		}
		ids[e.ID] = true
		got[i].ID = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events: -want +got\n%s", diff)
	}
}
