package kafka

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

const (
	// maxProducers is how many producers wait for what they are to write next. Each
	// has some connections of its own, but for less than a minute when it waits.
	maxProducers = 256
	// transactionTimeout is when brokers abort a transaction that nobody ends, and
	// that holds up who reads what is committed alone.
	transactionTimeout = time.Minute
	// linger is how long a record waits for others, unless it is the last one.
	linger = 10 * time.Millisecond
)

// producer writes the records of an inventory.
type producer struct {
	client    *kgo.Client
	topic     [16]byte // its ID
	partition int32
	held      checkpoint // what the topic holds, unless another has fenced the producer
	used      time.Time
	failures  chan error // of connecting; full: some were not noted
	lost      bool       // brokers can not be reached
}

// take returns the inventory's producer, for one user, who gives or discards it. It
// has fenced all others, and what the topic holds fits.
func (e *Emitter) take(ctx context.Context, of *inventory.Inventory, fits func(checkpoint) error) (*producer, error) {
	place := placeOf(of)
	e.mu.Lock()
	p := e.producers[place]
	delete(e.producers, place)
	e.mu.Unlock()
	if p != nil {
		if fits(p.held) == nil {
			return p, nil
		}
		p.client.Close() // another may have written since
	}
	// Look first: who comes too late fences nobody.
	if _, err := e.lookFor(ctx, of, fits); err != nil {
		return nil, err
	}
	p, err := e.newProducer(ctx, place)
	if err != nil {
		return nil, err
	}
	s, err := e.lookFor(ctx, of, fits)
	if err != nil {
		p.client.Close()
		return nil, err
	}
	p.topic, p.partition, p.held = s.topic, s.partition, s.checkpoint
	return p, nil
}

// lookFor looks for a checkpoint that fits, and that Held has read if it was called.
func (e *Emitter) lookFor(ctx context.Context, of *inventory.Inventory, fits func(checkpoint) error) (sighting, error) {
	s, err := e.look(ctx, of)
	if err != nil {
		return s, err
	}
	if err := fits(s.checkpoint); err != nil {
		return s, err
	}
	newest := int64(noCheckpoint)
	if s.checkpoint.mark.Generation > 0 {
		newest = s.checkpoint.offset
	}
	e.mu.Lock()
	view, seen := e.views[placeOf(of)]
	e.mu.Unlock()
	if seen && view != newest || !seen && s.checkpoint.partial() {
		return s, fmt.Errorf("generation %d was written to since it was read: %w", s.checkpoint.mark.Generation, sink.ErrFenced)
	}
	return s, nil
}

// noCheckpoint is the offset of what is not there.
const noCheckpoint = -1

// newProducer takes the transactional ID from whoever has it. It waits for who
// coordinates the transactions, who may be about to change.
func (e *Emitter) newProducer(ctx context.Context, place place) (*producer, error) {
	known, err := e.facts(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	for failures := 0; ; failures++ {
		p, err := e.tryProducer(ctx, place, known)
		if err == nil || !kerr.IsRetriable(err) || !e.pause(ctx, failures) {
			return p, err
		}
	}
}

func (e *Emitter) tryProducer(ctx context.Context, place place, known *facts) (_ *producer, err error) {
	p := &producer{failures: make(chan error, maxFailures)}
	p.client, err = kgo.NewClient(append(e.common[:len(e.common):len(e.common)],
		kgo.TransactionalID(place.transactionalID(e.topic)),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.DefaultProduceTopic(e.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(known.maxSize)),
		kgo.MaxBufferedRecords(maxInFlight+1),
		kgo.ProducerLinger(linger),
		kgo.ConcurrentTransactionsBackoff(min(e.retryWait, 20*time.Millisecond)),
		kgo.WithHooks(p),
	)...)
	if err != nil {
		return nil, err
	}
	if _, _, err := p.client.ProducerID(ctx); err != nil {
		p.client.Close()
		return nil, cause(ctx, err)
	}
	return p, nil
}

// maxFailures is how often connecting may fail while records wait for it.
const maxFailures = 3

// OnBrokerConnect notes failures: the client goes on to try for ever.
func (p *producer) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		select {
		case p.failures <- err:
		default:
		}
	}
}

// give has a producer wait for its next user. The one that has waited longest ends
// if there are too many.
func (e *Emitter) give(place place, p *producer) {
	p.used = time.Now()
	e.mu.Lock()
	if e.producers == nil { // closed
		e.mu.Unlock()
		p.client.Close()
		return
	}
	e.producers[place] = p
	var oldest *producer
	if len(e.producers) > maxProducers {
		for other, q := range e.producers {
			if oldest == nil || q.used.Before(oldest.used) {
				oldest, place = q, other
			}
		}
		delete(e.producers, place)
	}
	e.mu.Unlock()
	if oldest != nil {
		oldest.client.Close()
	}
}

// discard ends a producer that did not do what it was to. What it has begun is
// aborted if that can be done at once; or else by who writes next, or by the broker
// after a while.
func (e *Emitter) discard(p *producer) {
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	if !p.lost && p.client.AbortBufferedRecords(ctx) == nil {
		_ = p.client.EndTransaction(ctx, kgo.TryAbort)
	}
	p.client.Close()
}

const abortTimeout = time.Second
