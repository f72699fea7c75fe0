package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/sink"
)

// transaction writes records that are all committed, or none.
type transaction struct {
	emitter  *Emitter
	producer *producer
	flight   *flight
	begun    bool
}

var errMadeAgain = errors.New("the topic was made again meanwhile")

func (e *Emitter) newTransaction(p *producer, f *flight) *transaction {
	return &transaction{emitter: e, producer: p, flight: f}
}

func (t *transaction) begin() error {
	t.flight.begin()
	t.begun = true
	return t.producer.client.BeginTransaction()
}

// write sends the records of the piece, and ends the transaction with it if it is the
// last.
func (t *transaction) write(ctx context.Context, p *piece) error {
	if !t.begun {
		if err := t.begin(); err != nil {
			return err
		}
	}
	for i := range p.made {
		if err := t.add(ctx, &p.records[i], p.sizes[i], p.landed); err != nil {
			return err
		}
	}
	if p.ends != nil {
		if err := t.commit(ctx, *p.ends); err != nil {
			return err
		}
	}
	t.flight.release(p)
	return nil
}

// add sends a record, once there is room for it.
func (t *transaction) add(ctx context.Context, r *kgo.Record, size int, landed func(*kgo.Record, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		off, err := t.flight.takeOff(size)
		if err != nil {
			return err
		}
		if off {
			break
		}
		if err := t.await(ctx, room(size)); err != nil {
			return err
		}
	}
	r.Partition = t.producer.partition
	t.producer.client.Produce(ctx, r, landed)
	return nil
}

// await takes answers until no more than most has none.
func (t *transaction) await(ctx context.Context, most load) error {
	timer := time.NewTimer(t.emitter.timeout)
	defer timer.Stop()
	before, failures := 0, 0
	for {
		answers, enough, err := t.flight.landed(most)
		if enough || err != nil {
			return err
		}
		if answers != before {
			before, failures = answers, 0
			timer.Reset(t.emitter.timeout)
		}
		select {
		case <-t.flight.news:
		case <-ctx.Done():
			return ctx.Err()
		case err := <-t.producer.failures:
			if failures++; failures >= maxFailures || sink.IsPermanent(err) {
				t.producer.lost = true
				return err
			}
		case <-timer.C:
			if now, _, _ := t.flight.landed(most); now != before {
				continue // it was not silent
			}
			t.producer.lost = true
			return fmt.Errorf("%w (%s): %w", errSilent, t.emitter.timeout, context.DeadlineExceeded)
		}
	}
}

// flush sends what waits for more, and takes all answers.
func (t *transaction) flush(ctx context.Context) error {
	flushing, cancel := context.WithCancel(ctx)
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		_ = t.producer.client.Flush(flushing) // the answers tell more
	}()
	defer func() {
		cancel()
		<-flushed
	}()
	return t.await(ctx, load{})
}

// commit ends with what was sent, the last of which is the checkpoint of the mark.
func (t *transaction) commit(ctx context.Context, mark sink.Mark) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	lowest, newest := t.flight.offsets()
	if held := t.producer.held; held.mark.Generation > 0 && lowest <= held.offset {
		return errMadeAgain
	}
	// Brokers before Kafka 4.0 take records by the topic's name alone.
	topic, err := t.emitter.metadata(ctx)
	if err != nil {
		return err
	}
	if topic.TopicID != t.producer.topic {
		return errMadeAgain
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The commit is not cancelled, lest nobody know whether it was done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.emitter.timeout)
	defer cancel()
	if err := t.producer.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return cause(ctx, err)
	}
	t.producer.held, t.begun = checkpoint{mark, newest}, false
	return nil
}
