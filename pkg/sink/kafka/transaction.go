package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// prefix is of CloudEvents' attributes in Kafka's headers.
const prefix = "ce_"

// headers are the names of headers of attributes, made once and not for each record.
var headers = map[string]string{
	"specversion": "ce_specversion", "id": "ce_id", "type": "ce_type", "source": "ce_source", "time": "ce_time", "subject": "ce_subject",
	"cluster": "ce_cluster", "generation": "ce_generation", "target": "ce_target", "kind": "ce_kind", "rowhash": "ce_rowhash",
	"schemaversion": "ce_schemaversion", "dataref": "ce_dataref",
}

func header(name string) string {
	if known, ok := headers[name]; ok {
		return known
	}
	return prefix + name
}

var contentType = []byte(cloudevent.ContentType)

// record returns the event as a record. One without data has no value, which is what
// compaction takes for a key that is gone.
func record(key []byte, event *cloudevent.Event) *kgo.Record {
	n, size := 1, 0
	for _, value := range event.Attributes {
		n++
		size += len(value)
	}
	values := make([]byte, 0, size) // of all headers, in one piece
	r := &kgo.Record{Key: key, Headers: make([]kgo.RecordHeader, 0, n)}
	for name, value := range event.Attributes {
		at := len(values)
		values = append(values, value...)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: header(name), Value: values[at:len(values):len(values)]})
	}
	if len(event.Data) > 0 {
		r.Value = event.Data
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "content-type", Value: contentType})
	}
	return r
}

// transaction writes records that are all committed, or none.
type transaction struct {
	producer *producer
	timeout  time.Duration
	frame    []byte // what values begin with

	acks   chan ack
	flying int // records without an answer
	bytes  int // of those
	lowest int64
}

type ack struct {
	record *kgo.Record
	size   int
	err    error
}

var errMadeAgain = errors.New("the topic was made again meanwhile")

func (t *transaction) begin() error {
	if t.acks == nil {
		t.acks = make(chan ack, maxInFlight+1)
	}
	t.lowest = -1
	return t.producer.client.BeginTransaction()
}

// add sends a record, once there is room for it.
func (t *transaction) add(ctx context.Context, r *kgo.Record) error {
	if len(t.frame) > 0 && len(r.Value) > 0 {
		r.Value = slices.Concat(t.frame, r.Value)
	}
	size := sizeOf(r)
	for t.flying > 0 && (t.flying >= maxInFlight || t.bytes+size > maxInFlightBytes) {
		if err := t.await(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	t.flying++
	t.bytes += size
	r.Partition = t.producer.partition
	acks := t.acks
	t.producer.client.Produce(ctx, r, func(r *kgo.Record, err error) { acks <- ack{r, size, err} })
	return nil
}

// await takes one answer.
func (t *transaction) await(ctx context.Context) error {
	select {
	case a := <-t.acks: // most often it is there
		return t.take(a)
	default:
	}
	failures := 0
	timer := time.NewTimer(t.timeout)
	defer timer.Stop()
	for {
		select {
		case a := <-t.acks:
			return t.take(a)
		case <-ctx.Done():
			return ctx.Err()
		case err := <-t.producer.failures:
			if failures++; failures >= maxFailures || sink.IsPermanent(err) {
				t.producer.lost = true
				return err
			}
		case <-timer.C:
			t.producer.lost = true
			return fmt.Errorf("%w (%s): %w", errSilent, t.timeout, context.DeadlineExceeded)
		}
	}
}

func (t *transaction) take(a ack) error {
	t.flying--
	t.bytes -= a.size
	if a.err == nil && (t.lowest < 0 || a.record.Offset < t.lowest) {
		t.lowest = a.record.Offset
	}
	return a.err
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
	for t.flying > 0 {
		if err := t.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// commit ends with the checkpoint of the mark.
func (t *transaction) commit(ctx context.Context, last *kgo.Record, mark sink.Mark) error {
	if err := t.add(ctx, last); err != nil {
		return err
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	if held := t.producer.held; held.mark.Generation > 0 && t.lowest <= held.offset {
		return errMadeAgain
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The commit is not cancelled, lest nobody know whether it was done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout)
	defer cancel()
	if err := t.producer.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return cause(ctx, err)
	}
	t.producer.held = checkpoint{mark, last.Offset}
	return nil
}
