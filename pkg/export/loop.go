package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// loop is that of one pair.
type loop struct {
	pair     Pair
	exporter *Exporter
	changed  chan struct{} // of capacity 1: the newest snapshot is another
	after    <-chan struct{}
	done     chan struct{} // closed when run has returned
	cancel   context.CancelFunc

	failures int // in a row
	fenced   int // in a row
}

func (l *loop) key() pairKey { return pairKey{l.pair.Inventory, l.pair.Sink} }

// wake tells the loop to look again.
func (l *loop) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// end frees the destination.
func (l *loop) end() {
	if l.pair.Release != nil {
		l.pair.Release()
	}
	close(l.done)
}

// run exports until ctx ends. A change that waits then is left to whoever
// exports next, who finds it by comparing.
func (l *loop) run(ctx context.Context) {
	if l.after != nil { // the destination has one user at a time
		<-l.after
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	hold := true
	for {
		changed := l.changed
		if hold {
			changed = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
		// What changes from here on makes another round.
		select {
		case <-l.changed:
		default:
		}
		next := time.Time{}
		next, hold = l.attempt(ctx)
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// attempt exports the newest snapshot, if that is due, and returns when to try
// again; hold says not to before.
func (l *loop) attempt(ctx context.Context) (next time.Time, hold bool) {
	began := time.Now()
	snapshot := l.newest()
	if snapshot == nil {
		return time.Time{}, false
	}
	result, err := l.export(ctx, snapshot)
	switch {
	case ctx.Err() != nil:
		return time.Time{}, true
	case errors.Is(err, sink.ErrFenced):
		return l.onFenced(ctx, err)
	case err != nil:
		return l.onError(ctx, err), true
	}
	l.failures, l.fenced = 0, 0
	l.exporter.update(l, func(s *State) {
		if result.Outcome == Exported && (s.Hash != result.Mark.Hash || s.Generation != result.Mark.Generation) {
			klog.FromContext(ctx).V(2).Info("Exported", "generation", result.Mark.Generation, "rows", result.Mark.Rows)
		}
		s.hold(result.Mark)
		s.Outcome, s.Permanent, s.LastError, s.RetryTime = result.Outcome, false, "", time.Time{}
		if result.Outcome != Exported && result.Outcome != Delayed && result.Outcome != Forgotten {
			s.LastError, s.RetryTime = clip(result.Message), result.Next
		}
	})
	if result.Mark.Hash == snapshot.Hash().String() {
		l.exporter.reached(l, snapshot, began)
	}
	return result.Next, result.Hold
}

func (l *loop) newest() *inventory.Snapshot {
	return l.exporter.options.Store.State().Snapshot(l.pair.Inventory)
}

// export calls the destination, within the limit of time.
func (l *loop) export(ctx context.Context, snapshot *inventory.Snapshot) (_ Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // one sink's fault is nobody else's
			err = sink.Permanent(fmt.Errorf("the sink panicked: %v", p))
		}
	}()
	return l.pair.Destination.Export(ctx, Request{
		Snapshot:   snapshot,
		Newest:     l.newest,
		Settings:   l.pair.Settings,
		Now:        time.Now(),
		Generation: l.exporter.options.Generations.Of,
		Room:       l.exporter.room.enter,
	})
}

func (l *loop) onError(ctx context.Context, err error) time.Time {
	l.failures++
	delay, permanent := backoff(l.failures), sink.IsPermanent(err)
	if permanent {
		delay = jitter(permanentDelay)
	}
	// A destination may ask for more patience, but not for any: a day would be a sink
	// that is turned off.
	delay = max(delay, min(sink.RetryWait(err), maxRetryWait))
	next := time.Now().Add(delay)
	klog.FromContext(ctx).V(2).Info("Export failed", "err", Message(err), "failures", l.failures, "retry", next)
	l.exporter.update(l, func(s *State) {
		s.Outcome, s.Permanent, s.LastError, s.RetryTime = Failed, permanent, Message(err), next
	})
	return next
}

// onFenced looks whether this process still leads. If so, the destination was
// written by one that did not know yet that it does not, and the next attempt
// takes a generation above; but not for ever.
func (l *loop) onFenced(ctx context.Context, err error) (next time.Time, hold bool) {
	l.fenced++
	leads, leadErr := l.exporter.leads(ctx)
	if leadErr == nil && leads && l.fenced < maxFenced {
		return time.Now().Add(jitter(fencedDelay)), true
	}
	l.failures++
	next = time.Now().Add(max(backoff(l.failures), minBackoff))
	who := "somebody else exports this inventory there"
	if leads { // so does whoever fences it, by another Lease
		who += " (another cluster of the same name? give each a --cluster-name of its own)"
	}
	text := who + ": " + Message(err)
	if leadErr != nil {
		text += "; ask who leads: " + Message(leadErr)
	}
	klog.FromContext(ctx).V(1).Info("Fenced", "leads", leads, "fencings", l.fenced, "retry", next)
	l.exporter.update(l, func(s *State) {
		s.Outcome, s.Permanent, s.LastError, s.RetryTime = Fenced, false, clip(text), next
	})
	return next, true
}
