package httpsink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Schema returns what identifies the encoding.
func (s *Store) Schema(of *inventory.Inventory) string { return s.format.Schema(of) }

// Close ends the connections.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Mark asks the receiver what it holds. Of one that does not tell it is what it
// acknowledged to this store.
func (s *Store) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	names, err := names(of)
	if err != nil {
		return sink.Mark{}, err
	}
	a, err := s.ask(ctx, http.MethodHead, names, func(http.Header) {})
	if err != nil {
		return sink.Mark{}, err
	}
	switch {
	case a.ok(), absent(a):
	default:
		return sink.Mark{}, s.refusal("ask what is held", a)
	}
	mark, tells, err := parseMark(a.header, names)
	if err != nil {
		return sink.Mark{}, sink.Permanent(fmt.Errorf("read the answer to HEAD: %w", err))
	}
	s.remember(names, func(p *place) { p.silent = !tells })
	if !tells {
		return s.at(names).acked, nil
	}
	return mark, nil
}

// absent reports whether the receiver has nothing there, or no such method.
func absent(a *answer) bool {
	switch a.status {
	case http.StatusNotFound, http.StatusGone, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// Write sends the snapshot in one request.
func (s *Store) Write(ctx context.Context, export sink.Export) (sink.Mark, error) {
	of := export.Snapshot.Inventory()
	names, err := names(of)
	if err != nil {
		return sink.Mark{}, err
	}
	if err := s.admits(names, export.Generation, export.Time, false); err != nil {
		return sink.Mark{}, err
	}
	export.Time = inMillis(export.Time)
	mark := sink.Mark{
		Generation: export.Generation, Hash: export.Snapshot.Hash().String(), Schema: s.Schema(of),
		Rows: int64(export.Snapshot.Len()), Time: export.Time,
	}
	body, err := newBody(ctx, s.format, export, s.keep)
	if err != nil {
		return sink.Mark{}, err
	}
	defer body.close()
	r, err := s.request(ctx, s.method, names)
	if err != nil {
		return sink.Mark{}, err
	}
	setMark(r.Header, mark)
	if export.Base != nil && !s.at(names).silent { // or nobody knows what it holds
		r.Header.Set(headerBase, strconv.FormatInt(export.Base.Generation, 10))
	}
	r.Header.Set(headerIdempotencyKey, idempotencyKey(names, mark.Generation))
	r.Header.Set(headerContentDigest, body.digest)
	r.Header.Set("Content-Type", s.format.ContentType())
	r.Header.Set("Content-Encoding", "gzip")
	body.attach(r)
	a, err := s.do(r, maxText)
	if err != nil {
		return sink.Mark{}, err
	}
	if !a.ok() {
		s.learn(names, a)
		return sink.Mark{}, s.refusal("send the snapshot", a)
	}
	s.remember(names, func(p *place) { p.acked = mark })
	return mark, nil
}

// learn remembers which generation is held by a receiver that tells it only when it
// refuses another: so that the next one is above it at once.
func (s *Store) learn(names [3]string, a *answer) {
	held, err := strconv.ParseInt(a.header.Get(headerGeneration), 10, 64)
	if err != nil || held <= 0 || held >= sink.MaxGeneration || a.status != http.StatusConflict && a.status != http.StatusPreconditionFailed {
		return
	}
	s.remember(names, func(p *place) {
		if held > p.acked.Generation {
			p.acked = sink.Mark{Generation: held} // of which content, nobody knows
		}
	})
}

// idempotencyKey names what is done once, however often it is sent.
func idempotencyKey(names [3]string, generation int64) string {
	return strings.Join(names[:], "/") + "/" + strconv.FormatInt(generation, 10)
}

// admits refuses a generation that cannot be, or that is not newer than what a
// receiver acknowledged that does not tell: any other is asked.
func (s *Store) admits(names [3]string, generation int64, at time.Time, forget bool) error {
	if generation <= 0 || generation > sink.MaxGeneration || at.IsZero() {
		return fmt.Errorf("export under generation %d: the generation must be from 1 to %d and the time set", generation, sink.MaxGeneration)
	}
	p := s.at(names)
	if p.silent && p.acked.Generation >= generation && !(forget && p.acked.Forgotten) {
		return fmt.Errorf("generation %d was sent before: %w", p.acked.Generation, sink.ErrFenced)
	}
	return nil
}

// Confirm has the receiver note the time. One that does not tell what it holds is not
// asked, and one that takes no PATCH only for what it holds.
func (s *Store) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	names, err := names(of)
	if err != nil {
		return sink.Mark{}, err
	}
	if mark.Generation <= 0 || mark.Hash == "" || mark.Forgotten {
		return sink.Mark{}, fmt.Errorf("confirm generation %d: it is no content: %w", mark.Generation, sink.ErrFenced)
	}
	if at = inMillis(at); at.After(mark.Time) {
		mark.Time = at
	}
	p := s.at(names)
	if !p.silent {
		a, err := s.ask(ctx, http.MethodPatch, names, func(h http.Header) {
			setMark(h, mark)
			h[headerIdempotencyKey] = []string{} // is not sent, and lets a lost connection be replaced
		})
		switch {
		case err != nil:
			return sink.Mark{}, err
		case a.ok():
			return mark, nil
		case !absent(a):
			return sink.Mark{}, s.refusal("confirm the content", a)
		}
	}
	held := p.acked
	if !p.silent {
		if held, err = s.Mark(ctx, of); err != nil {
			return sink.Mark{}, err
		}
	}
	if held.Forgotten || held.Generation != mark.Generation || held.Hash != mark.Hash || held.Schema != mark.Schema {
		return sink.Mark{}, fmt.Errorf("confirm generation %d: %d is held: %w", mark.Generation, held.Generation, sink.ErrFenced)
	}
	s.remember(names, func(p *place) { p.acked = mark })
	return mark, nil
}

// Forget has the receiver remove what it holds. It is the receiver that remembers the
// generation.
func (s *Store) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	names, err := names(of)
	if err != nil {
		return err
	}
	if err := s.admits(names, generation, at, true); err != nil {
		return err
	}
	mark := sink.Mark{Generation: generation, Time: inMillis(at), Forgotten: true}
	a, err := s.ask(ctx, http.MethodDelete, names, func(h http.Header) {
		setMark(h, mark)
		h.Set(headerIdempotencyKey, idempotencyKey(names, generation))
	})
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return sink.Permanent(errors.New("the endpoint does not remove anything: have it answer DELETE with 204 (or with 404, once you have removed there what is held of the inventory)"))
	case http.StatusNotFound, http.StatusGone: // nothing is there
	default:
		if !a.ok() {
			return s.refusal("remove what is held", a)
		}
	}
	s.remember(names, func(p *place) {
		if mark.Generation > p.acked.Generation {
			p.acked = mark
		}
	})
	return nil
}
