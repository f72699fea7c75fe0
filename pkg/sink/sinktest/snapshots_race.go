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

// reader is how a destination is read.
type reader = func(ctx context.Context, of *inventory.Inventory) (*Content, error)

// history is what was handed to stores, for readers to compare with.
type history struct {
	plain bool // compare what JSON stands for, not its text

	mu      sync.Mutex // guards content
	content map[int64]*Content
}

func (h *history) add(s *inventory.Snapshot, generation int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.content == nil {
		h.content = map[int64]*Content{}
	}
	h.content[generation] = h.form(contentOf(s, generation))
}

func (h *history) of(generation int64) *Content {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.content[generation]
}

func (h *history) form(c *Content) *Content {
	if h.plain {
		return plain(c)
	}
	return c
}

// watch reads without pause until the context ends, and fails unless each
// content is one that was exported, whole, and no generation is older than the
// one before. It returns how often it read.
func (h *history) watch(ctx context.Context, read reader, of *inventory.Inventory) (reads int, err error) {
	last := int64(0)
	for ctx.Err() == nil {
		got, err := read(context.WithoutCancel(ctx), of)
		if err != nil {
			return reads, fmt.Errorf("read after generation %d: %w", last, err)
		}
		reads++
		if got == nil {
			if last > 0 {
				return reads, fmt.Errorf("nothing after generation %d", last)
			}
			continue
		}
		if got.Generation < last {
			return reads, fmt.Errorf("generation %d after %d", got.Generation, last)
		}
		last = got.Generation
		if diff := cmp.Diff(h.of(last), h.form(got)); diff != "" {
			return reads, fmt.Errorf("generation %d: -want +got\n%s", last, diff)
		}
	}
	return reads, nil
}

// follow starts readers and returns a function that ends them.
func (h *history) follow(t *testing.T, read reader, of *inventory.Inventory) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			reads, err := h.watch(ctx, read, of)
			if err != nil {
				t.Errorf("reader: %v", err)
			}
			t.Logf("read %d times", reads)
		})
	}
	return func() {
		cancel()
		readers.Wait()
	}
}

func testReaders(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	s.Fill(50)
	var h history
	stop := h.follow(t, d.Read, s.Snapshot().Inventory())
	defer stop()
	for generation := int64(1); generation <= 30; generation++ {
		s.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		if generation%3 == 0 {
			s.Delete("web")
		}
		h.add(s.Snapshot(), generation)
		mark := mustWrite(t, store, s.Snapshot(), generation)
		if _, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, at(generation)); err != nil {
			t.Fatal(err)
		}
	}
}

// testWriters has several processes export at once, as no leader election
// should let them.
func testWriters(t *testing.T, d Snapshots) {
	const writers, rounds = 4, 8
	var h history
	var newest struct {
		sync.Mutex
		generation int64
	}
	stop := h.follow(t, d.Read, NewSample(ref).Snapshot().Inventory())
	defer stop()
	var all sync.WaitGroup
	for w := range writers {
		store := open(t, d)
		all.Go(func() {
			s := NewSample(ref)
			s.Fill(20)
			for i := range rounds {
				generation := int64(1 + i*writers + w)
				s.Set("web", fmt.Sprintf("nginx:1.%d", generation))
				h.add(s.Snapshot(), generation)
				_, err := write(t.Context(), store, s.Snapshot(), generation)
				if errors.Is(err, sink.ErrFenced) {
					continue
				}
				if err != nil {
					t.Errorf("write generation %d: %v", generation, err)
				}
				newest.Lock()
				newest.generation = max(newest.generation, generation)
				newest.Unlock()
			}
		})
	}
	all.Wait()
	got, err := d.Read(t.Context(), NewSample(ref).Snapshot().Inventory())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.of(newest.generation), got); diff != "" {
		t.Errorf("the newest that was written is not what readers see: -want +got\n%s", diff)
	}
}
