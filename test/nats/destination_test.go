package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/pkg/sink/sinktest"
)

const streamName = "KOLLECT"

// destination is a stream, read by a client.
type destination struct {
	sinktest.Injector
	address string
	secret  map[string][]byte
	js      jetstream.JetStream
	timeout time.Duration // of the sink's requests; 0: its default
	// oversized is what becomes of rows that are too large for a message.
	oversized kollectv1alpha1.OversizedRows
}

// newDestination makes the stream as an operator would who wants the whole
// history; a config without a name leaves it to the sink.
func newDestination(t *testing.T, address string, config jetstream.StreamConfig) *destination {
	t.Helper()
	d := &destination{address: address, js: client(t, address)}
	if err := d.js.DeleteStream(t.Context(), streamName); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Fatalf("delete stream: %v", err)
	}
	if config.Name != "" {
		d.create(t, config)
	}
	return d
}

// create makes a stream, and waits until all of its servers have it: those of a
// cluster that has just formed may lose sight of each other once more, and learn who
// takes its messages a little later.
func (d *destination) create(t *testing.T, config jetstream.StreamConfig) {
	t.Helper()
	until(t, "the stream is there", func() bool {
		_, err := d.js.CreateStream(t.Context(), config)
		if err != nil {
			t.Logf("create stream: %v", err)
		}
		return err == nil
	})
	until(t, "the stream has a leader, and servers that follow it", func() bool {
		stream, err := d.js.Stream(t.Context(), streamName)
		if err != nil {
			return false
		}
		cluster := stream.CachedInfo().Cluster
		if cluster == nil {
			return config.Replicas <= 1
		}
		return cluster.Leader != "" && !slices.ContainsFunc(cluster.Replicas, func(p *jetstream.PeerInfo) bool { return p.Offline || !p.Current })
	})
	if config.Replicas > 1 {
		until(t, "the stream answers, if only that this is not its last sequence", func() bool {
			_, err := d.js.Publish(t.Context(), "kollect.v1.nothing", nil, jetstream.WithExpectLastSequence(1))
			var answer jetstream.JetStreamError
			return errors.As(err, &answer) && answer.APIError() != nil
		})
	}
}

func (d *destination) Open(t *testing.T) sink.EventEmitter {
	t.Helper()
	return d.open(t)
}

func (d *destination) open(t *testing.T) *nats.Emitter {
	t.Helper()
	emitter, err := nats.Open(t.Context(), kollectv1alpha1.NATSSink{URL: d.address, Stream: streamName, OversizedRows: d.oversized}, d.secret, nats.Options{
		Dial: d.Injector.Dial, Timeout: d.timeout, ReconnectWait: time.Millisecond,
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return emitter
}

// consume calls take with all messages of the inventory, in their order.
func (d *destination) consume(ctx context.Context, of *inventory.Inventory, take func(kind string, m jetstream.Msg) error) error {
	stream, err := d.js.Stream(ctx, streamName)
	if err != nil {
		return err
	}
	filter := "kollect.v1." + token(of.Cluster) + "." + token(of.Namespace) + "." + token(of.Name) + ".>"
	last, err := stream.GetLastMsgForSubject(ctx, filter)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	consumer, err := d.js.OrderedConsumer(ctx, streamName, jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(time.Second))
	if err != nil {
		return err
	}
	defer messages.Stop()
	for {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		m, err := messages.Next(jetstream.NextContext(ctx))
		cancel()
		if err != nil {
			return err
		}
		if source := m.Headers().Get("ce-source"); !isOf(source, of) {
			return fmt.Errorf("%s is at %s", source, m.Subject())
		}
		if err := take(m.Headers().Get("ce-type"), m); err != nil {
			return err
		}
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream >= last.Sequence {
			return err
		}
	}
}

// token is a name in a subject; an empty one is that of a cluster inventory's
// namespace.
func token(name string) string {
	if name == "" {
		return "_cluster"
	}
	var b strings.Builder
	for i, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isOf(source string, of *inventory.Inventory) bool {
	parts := strings.Split(source, "/")
	if len(parts) != 5 || parts[0] != "" || parts[1] != "kollect" {
		return false
	}
	cluster, err := url.PathUnescape(parts[2])
	namespace, err2 := url.PathUnescape(parts[3])
	name, err3 := url.PathUnescape(parts[4])
	if parts[3] == "_cluster" {
		namespace = ""
	}
	return err == nil && err2 == nil && err3 == nil && cluster == of.Cluster && namespace == of.Namespace && name == of.Name
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	content := &sinktest.Content{Rows: map[string]string{}}
	err := d.consume(ctx, of, func(kind string, m jetstream.Msg) error {
		switch kind {
		case "io.kollect.row.upserted.v1":
			key, attributes, err := readRow(m)
			content.Rows[key] = attributes
			return err
		case "io.kollect.row.deleted.v1":
			delete(content.Rows, keyOf(m))
		case "io.kollect.checkpoint.v1":
			var mark struct {
				Generation  int64
				ContentHash string
				Rows        int
			}
			if err := json.Unmarshal(m.Data(), &mark); err != nil {
				return err
			}
			if mark.ContentHash == "" {
				return nil
			}
			content.Generation = mark.Generation
			if mark.Rows != len(content.Rows) {
				return fmt.Errorf("%d rows at a checkpoint of %d", len(content.Rows), mark.Rows)
			}
		}
		return nil
	})
	if err != nil || content.Generation == 0 {
		return nil, err
	}
	return content, nil
}

func readRow(m jetstream.Msg) (key, attributes string, err error) {
	var row struct {
		Key        string
		Attributes json.RawMessage
	}
	if err := json.Unmarshal(m.Data(), &row); err != nil {
		return "", "", fmt.Errorf("row at %s: %w", m.Subject(), err)
	}
	if row.Key != keyOf(m) || row.Key != m.Headers().Get("ce-subject") {
		return "", "", fmt.Errorf("row %s, of subject %s in its headers, is at %s", row.Key, m.Headers().Get("ce-subject"), m.Subject())
	}
	return row.Key, string(row.Attributes), nil
}

func keyOf(m jetstream.Msg) string { return m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:] }

func (d *destination) Log(ctx context.Context, of *inventory.Inventory) (events []sinktest.Event, err error) {
	err = d.consume(ctx, of, func(kind string, m jetstream.Msg) error {
		e := sinktest.Event{ID: m.Headers().Get("ce-id"), Key: keyOf(m)}
		switch kind {
		case "io.kollect.row.upserted.v1":
			if _, e.Attributes, err = readRow(m); err != nil {
				return err
			}
		case "io.kollect.row.deleted.v1":
			if len(m.Data()) > 0 {
				return fmt.Errorf("a tombstone has the data %q", m.Data())
			}
		default:
			return nil
		}
		if m.Headers().Get(natsgo.MsgIdHdr) != e.ID {
			return fmt.Errorf("message ID %q is not %q", m.Headers().Get(natsgo.MsgIdHdr), e.ID)
		}
		events = append(events, e)
		return nil
	})
	return events, err
}
