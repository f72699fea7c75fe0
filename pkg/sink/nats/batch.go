package nats

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"kollect.io/kollect/pkg/sink"
)

// answer is the server's to a batch: the sequence of its checkpoint.
type answer struct {
	sequence uint64
	err      error
}

// writeBatch writes all that is pending, and the checkpoint, or nothing. It leaves
// the server to commit the batch while the next is made and sent; what commits that
// waits for the answer, which it follows.
func (w *writer) writeBatch(ctx context.Context, mark sink.Mark) error {
	if len(w.pending) == 0 {
		if err := w.committed(); err != nil {
			return err
		}
		last, err := w.checkpoint(mark)
		if err == nil {
			w.last, err = w.emitter.publishOne(ctx, last)
		}
		return err
	}
	select {
	case w.emitter.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	last, err := w.send(mark)
	if err != nil {
		<-w.emitter.slots
		return err
	}
	sent := make(chan answer, 1)
	w.sent = sent
	go func() {
		sequence, err := w.emitter.publishOne(ctx, last)
		<-w.emitter.slots
		sent <- answer{sequence, err}
	}()
	return nil
}

// send sends the batch, and returns its last message, which commits it.
func (w *writer) send(mark sink.Mark) (*nats.Msg, error) {
	losses := w.emitter.losses()
	id := nuid.Next()
	for i, m := range w.pending {
		inBatch(m, id, i+1)
		if err := w.emitter.conn.PublishMsg(m); err != nil {
			return nil, err
		}
	}
	if err := w.committed(); err != nil {
		return nil, err
	}
	last, err := w.checkpoint(mark)
	if err != nil {
		return nil, err
	}
	inBatch(last, id, len(w.pending)+1)
	set(last.Header, headerBatchCommit, "1")
	if w.emitter.losses() != losses {
		return nil, errLost // and with it some of the batch
	}
	return last, nil
}

func inBatch(m *nats.Msg, id string, sequence int) {
	set(m.Header, headerBatch, id)
	set(m.Header, headerBatchSequence, strconv.Itoa(sequence))
}

// committed waits until the server has committed the batch that was sent.
func (w *writer) committed() error {
	if w.sent == nil {
		return nil
	}
	a := <-w.sent
	w.sent, w.last = nil, a.sequence
	return a.err
}
