package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
	natsserver "kollect.io/kollect/test/services/nats"
)

const streamName = "KOLLECT"

// stream is a stream of a NATS server, which keeps every message.
type stream struct {
	cp     *controlplane.ControlPlane
	server natsserver.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	tails  map[string]*tail // by filter
}

// tail is what was read of an inventory.
type tail struct {
	*journal
	next uint64
}

var _ crasher = (*stream)(nil)

func startStream(ctx context.Context, cp *controlplane.ControlPlane, log io.Writer) (_ *stream, err error) {
	s := &stream{cp: cp, tails: map[string]*tail{}}
	if s.server.Binary, err = natsserver.Binary(ctx, log, true); err != nil {
		return nil, err
	}
	if s.server.Dir, err = cp.TempDir("nats"); err != nil {
		return nil, err
	}
	if s.server.Port, err = child.FreePort(); err != nil {
		return nil, err
	}
	if err := cp.StartProgram(ctx, s.server.Program()); err != nil {
		return nil, err
	}
	if s.conn, err = nats.Connect(s.server.URL(), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)); err != nil {
		return nil, err
	}
	if s.js, err = jetstream.New(s.conn); err != nil {
		return nil, err
	}
	_, err = s.js.CreateStream(ctx, jetstream.StreamConfig{
		Name: streamName, Subjects: []string{"kollect.v1.>"}, Storage: jetstream.FileStorage, AllowAtomicPublish: true,
	})
	return s, err
}

func (*stream) name() string { return "stream" }

func (s *stream) end() error {
	s.conn.Close()
	return nil
}

func (s *stream) sink(string) string {
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: stream}
spec: {type: nats, nats: {url: %q, stream: %s}}
`, s.server.URL(), streamName)
}

func (*stream) slow() bool { return false }

func (s *stream) kill() error { return s.cp.KillProgram("nats-server") }

func (s *stream) up(ctx context.Context) error { return s.cp.StartProgram(ctx, s.server.Program()) }

// filter is that of an inventory's messages.
func (*stream) filter(namespace, inventory string) string {
	return fmt.Sprintf("kollect.v1.%s.%s.%s.>", clusterName, namespace, inventory)
}

// read reads on to the end of the stream.
func (s *stream) read(ctx context.Context, namespace, inventory string) (content, error) {
	filter := s.filter(namespace, inventory)
	t := s.tails[filter]
	if t == nil {
		t = &tail{newJournal(), 1}
		s.tails[filter] = t
	}
	if err := s.readOn(ctx, filter, t); err != nil {
		return content{}, err
	}
	c := t.content()
	c.Rows = maps.Clone(c.Rows)
	return c, nil
}

func (s *stream) readOn(ctx context.Context, filter string, t *tail) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	messages, err := s.js.Stream(ctx, streamName)
	if err != nil {
		return err
	}
	if last := messages.CachedInfo().State.LastSeq; last < t.next-1 {
		return brokenf("the stream ends with message %d, where %d was read", last, t.next-1)
	}
	for {
		m, err := messages.GetMsg(ctx, t.next, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if id := m.Header.Get(nats.MsgIdHdr); id != m.Header.Get("ce-id") {
			return brokenf("message %d has the ids %s and %s", m.Sequence, id, m.Header.Get("ce-id"))
		}
		if err := t.take(event{m.Header.Get("ce-type"), m.Header.Get("ce-id"), m.Header.Get("ce-subject"), m.Data}); err != nil {
			return err
		}
		t.next = m.Sequence + 1
	}
}

// replay has all read from the beginning again.
func (s *stream) replay() { clear(s.tails) }
