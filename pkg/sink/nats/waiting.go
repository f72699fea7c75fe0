package nats

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// defaultTimeout is of Options.Timeout: the servers may be electing a leader, or
// be away for a restart.
const defaultTimeout = 15 * time.Second

var errLost = errors.New("the connection to the server was lost")

// waiting is what is known of the connection, for those who wait for an answer.
type waiting struct {
	losses   int
	denied   error // what the server did not allow since the last request
	request  int   // how many there were
	requests map[int]*request
}

// request is one that waits for its answer.
type request struct {
	lose     context.CancelCauseFunc
	failures int // to connect again since it waits
}

// maxFailures is how often connecting again may fail while a request waits. The
// first ones may have begun, or ended, before it.
const maxFailures = 3

// bounded returns a context for a request, which ends when there can't be an
// answer any more. Whoever calls it calls done.
func (e *Emitter) bounded(ctx context.Context) (_ context.Context, done func()) {
	ctx, lose := context.WithCancelCause(ctx)
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	e.mu.Lock()
	e.waiting.request++
	number := e.waiting.request
	e.waiting.denied = nil
	e.waiting.requests[number] = &request{lose: lose}
	e.mu.Unlock()
	return ctx, func() {
		e.mu.Lock()
		delete(e.waiting.requests, number)
		e.mu.Unlock()
		cancel()
		lose(nil)
	}
}

// cause returns why a request with a bounded context failed.
func cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// noteLost ends the requests that wait: what was sent, or its answer, is gone.
func (e *Emitter) noteLost(*nats.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting.losses++
	for _, r := range e.waiting.requests {
		r.lose(errLost)
	}
}

// noteFailure ends the requests that wait for a connection in vain.
func (e *Emitter) noteFailure(*nats.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.waiting.requests {
		if r.failures++; r.failures >= maxFailures {
			r.lose(errLost)
		}
	}
}

func (e *Emitter) losses() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiting.losses
}

// noteDenied remembers what the server did not allow: it tells that apart from
// the answers.
func (e *Emitter) noteDenied(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		e.mu.Lock()
		e.waiting.denied = err
		e.mu.Unlock()
	}
}
