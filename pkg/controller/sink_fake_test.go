package controller

import (
	"context"
	"sync"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// memorySink is a snapshot store that keeps marks.
type memorySink struct {
	mu     sync.Mutex // guards what follows
	marks  map[inventory.Ref]sink.Mark
	closed bool
	down   error // of Forget
}

func (s *memorySink) Mark(_ context.Context, of *inventory.Inventory) (sink.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[of.Ref], nil
}

func (s *memorySink) Write(_ context.Context, e sink.Export) (sink.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := e.Snapshot.Inventory().Ref
	if e.Generation <= s.marks[ref].Generation {
		return sink.Mark{}, sink.ErrFenced
	}
	s.marks[ref] = sink.Mark{Generation: e.Generation, Hash: e.Snapshot.Hash().String(), Rows: int64(e.Snapshot.Len()), Time: e.Time}
	return s.marks[ref], nil
}

func (s *memorySink) Confirm(_ context.Context, of *inventory.Inventory, _ sink.Mark, at time.Time) (sink.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := s.marks[of.Ref]
	mark.Time = at
	s.marks[of.Ref] = mark
	return mark, nil
}

func (s *memorySink) Inventories(context.Context, string) ([]inventory.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refs []inventory.Ref
	for ref, mark := range s.marks {
		if !mark.Forgotten {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func (s *memorySink) Forget(_ context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	if generation <= s.marks[of.Ref].Generation && !s.marks[of.Ref].Forgotten {
		return sink.ErrFenced
	}
	s.marks[of.Ref] = sink.Mark{Generation: generation, Time: at, Forgotten: true}
	return nil
}

func (s *memorySink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *memorySink) mark(ref inventory.Ref) sink.Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks[ref]
}

func (s *memorySink) Schema(*inventory.Inventory) string { return "" }

func (s *memorySink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}
