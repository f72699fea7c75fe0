package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// expect has the server refuse the message unless the checkpoint is the one of
// that sequence; 0: unless there is none.
func expect(m *nats.Msg, p place, sequence uint64) {
	set(m.Header, headerExpect, strconv.FormatUint(sequence, 10))
	if m.Subject != p.checkpoint() {
		set(m.Header, headerExpectSubject, p.checkpoint())
	}
}

// publishOne publishes a message and returns its sequence.
func (e *Emitter) publishOne(ctx context.Context, m *nats.Msg) (uint64, error) {
	ctx, done := e.bounded(ctx)
	defer done()
	answer, err := e.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, cause(ctx, err)
	}
	return e.parseAck(answer)
}

// parseAck returns the sequence of a message from the server's answer to it.
func (e *Emitter) parseAck(answer *nats.Msg) (uint64, error) {
	if answer.Header.Get(headerStatus) == statusNoResponders {
		return 0, nats.ErrNoResponders
	}
	var ack struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Sequence  uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("parse the server's answer: %w", err)
	}
	switch {
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Stream != e.stream:
		return 0, fmt.Errorf("stream %q took the message", ack.Stream)
	case ack.Duplicate:
		return 0, sink.ErrFenced
	case ack.Sequence == 0:
		return 0, errors.New("the server's answer has no sequence")
	}
	return ack.Sequence, nil
}

// checkpoint is what the stream holds of an inventory. The zero checkpoint is
// nothing.
type checkpoint struct {
	mark     sink.Mark
	sequence uint64
}

// partial reports whether what is held is on its way from a content to another.
func (c checkpoint) partial() bool {
	return c.mark.Generation > 0 && c.mark.Hash == "" && !c.mark.Forgotten
}

func (e *Emitter) readCheckpoint(ctx context.Context, of *inventory.Inventory) (checkpoint, error) {
	const doing = "read the checkpoint"
	subject := placeOf(of).checkpoint()
	m, err := e.get(ctx, map[string]any{"last_by_subj": subject})
	if err != nil || m == nil {
		return checkpoint{}, e.explain(doing, err)
	}
	mark, err := cloudevent.ParseMark(m.Data, of)
	if err != nil {
		return checkpoint{}, sink.Permanent(fmt.Errorf("%s %s: not one that Kollect wrote: %w: remove the message to export anew", doing, subject, err))
	}
	return checkpoint{mark, m.Sequence}, nil
}

// stored is a message of the stream.
type stored struct {
	Subject  string `json:"subject"`
	Sequence uint64 `json:"seq"`
	Data     []byte `json:"data"`
}

// get returns a message from the stream's leader, which alone knows the last one;
// nil: there is none.
func (e *Emitter) get(ctx context.Context, query map[string]any) (*stored, error) {
	ctx, done := e.bounded(ctx)
	defer done()
	body, err := json.Marshal(query)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	answer, err := e.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+e.stream, body)
	if err != nil {
		return nil, cause(ctx, err)
	}
	var found struct {
		Error   *jetstream.APIError `json:"error"`
		Message *stored             `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &found); err != nil {
		return nil, fmt.Errorf("parse the server's answer: %w", err)
	}
	switch {
	case found.Error != nil && found.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case found.Error != nil:
		return nil, found.Error
	case found.Message == nil:
		return nil, errors.New("the server's answer has no message")
	}
	return found.Message, nil
}
