package nats

import (
	"bytes"
	"context"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// maxAhead is how many messages of a pipeline the server may not have answered yet
// when the next ones are sent.
const maxAhead = batchMessages

// pipeline publishes messages, each on condition of the checkpoint, and sends the
// next ones before the server has answered. The server must take them one by one, in
// order, as it does for a stream on one server: a replicated stream refuses a message
// while another with the same condition is on its way to the replicas.
//
// It is for one goroutine, which closes it.
type pipeline struct {
	emitter *Emitter
	losses  int // of the connection, before the first message
	inbox   *nats.Subscription
	plain   []byte // what most answers begin with
	sent    int
	held    []int // slots, by the last message that was sent under each

	mu    sync.Mutex // guards what follows
	acked int
	err   error
	want  int           // how many acknowledgements are waited for
	moved chan struct{} // of capacity 1: there are as many, or an error
}

func (e *Emitter) newPipeline() (*pipeline, error) {
	p := &pipeline{
		emitter: e, losses: e.losses(), moved: make(chan struct{}, 1),
		plain: []byte(`{"stream":` + strconv.Quote(e.stream) + `,`),
	}
	var err error
	if p.inbox, err = e.conn.Subscribe(e.conn.NewInbox(), p.take); err != nil {
		return nil, err
	}
	return p, nil
}

// close forgets answers that are still to come.
func (p *pipeline) close() {
	_ = p.inbox.Unsubscribe() // fails only if the connection is closed
	for range p.held {
		<-p.emitter.slots
	}
	p.held = nil
}

// send sends messages, which are the caller's again when it returns.
func (p *pipeline) send(ctx context.Context, messages []*nats.Msg, at place, checkpoint uint64) error {
	if err := p.wait(ctx, p.sent-maxAhead); err != nil {
		return err
	}
	if err := p.enter(ctx); err != nil {
		return err
	}
	for _, m := range messages {
		expect(m, at, checkpoint)
		m.Reply = p.inbox.Subject
		if err := p.emitter.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	p.sent += len(messages)
	p.held[len(p.held)-1] = p.sent
	return nil
}

// enter takes a slot. It waits for none while it holds another: all who do would
// wait for each other.
func (p *pipeline) enter(ctx context.Context) error {
	select {
	case p.emitter.slots <- struct{}{}:
	default:
		if err := p.wait(ctx, p.sent); err != nil {
			return err
		}
		select {
		case p.emitter.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.held = append(p.held, p.sent)
	return nil
}

// wait waits until the server has stored the first n messages.
func (p *pipeline) wait(ctx context.Context, n int) error {
	bounded, done := p.emitter.bounded(ctx)
	defer done()
	if p.emitter.losses() != p.losses {
		return errLost // and with it some messages, or answers
	}
	for {
		p.mu.Lock()
		p.want = n
		acked, err := p.acked, p.err
		p.mu.Unlock()
		for len(p.held) > 0 && p.held[0] <= acked {
			p.held = p.held[1:]
			<-p.emitter.slots
		}
		if err != nil || acked >= n {
			return err
		}
		select {
		case <-p.moved:
		case <-bounded.Done():
			return cause(bounded, bounded.Err())
		}
	}
}

// take takes an answer.
func (p *pipeline) take(m *nats.Msg) {
	var err error
	if !p.isPlain(m.Data) {
		_, err = p.emitter.parseAck(m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.acked++
	} else if p.err == nil {
		p.err = err
	}
	if p.acked == p.want || err != nil {
		select {
		case p.moved <- struct{}{}:
		default:
		}
	}
}

// isPlain reports whether an answer, as the server writes it, has a sequence and
// nothing else. It saves parsing most of them.
func (p *pipeline) isPlain(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, p.plain)
	digits, ok2 := bytes.CutPrefix(bytes.TrimPrefix(rest, []byte(" ")), []byte(`"seq":`))
	digits, ok3 := bytes.CutSuffix(digits, []byte("}"))
	sequence, err := strconv.ParseUint(string(digits), 10, 64)
	return ok && ok2 && ok3 && err == nil && sequence > 0
}
