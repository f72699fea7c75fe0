package nats_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink/nats"
	"kollect.io/kollect/test/sinkbench"
)

const (
	firstRows = 100_000
	fewRows   = 10_000
	manyRows  = 1_000_000
)

// BenchmarkNATS measures exports to a server in this process, to a stream that the
// sink has made, on disk.
//
// x-raw-rate is the rate of a first export of 100,000 rows, divided by the
// yardstick's: the client publishing the same messages asynchronously to such a
// stream, the two in turns, beside the same live heap. x-1m-to-10k is the time of 100
// changes of 1,000,000 rows divided by that of 100 of 10,000. x-bare-100 is the former
// divided by what the client takes to publish 100 messages to that stream
// asynchronously, without fencing: the server replaces the messages that each of them
// supersedes, wherever in its files those are. p99-ms is how long after a change of the
// inventory, 1,000 a second, a consumer receives its event, once it has read the first
// export.
func BenchmarkNATS(b *testing.B) {
	address := start(b, options(b.TempDir())).ClientURL()
	n := &natsBench{address: address, js: client(b, address)}
	for b.Loop() {
		n.first(b)
		n.freshness(b)
		n.changes(b)
	}
	b.ReportMetric(0, "ns/op")
}

type natsBench struct {
	address string
	js      jetstream.JetStream
}

// open returns an emitter, whose stream is new.
func (n *natsBench) open(b *testing.B) *nats.Emitter {
	b.Helper()
	emitter, err := nats.Open(b.Context(), kollectv1alpha1.NATSSink{URL: n.address, Stream: streamName}, nil, nats.Options{})
	must(b, err)
	return emitter
}

// close closes the emitter and deletes its stream.
func (n *natsBench) close(b *testing.B, emitter *nats.Emitter) {
	b.Helper()
	must(b, emitter.Close())
	must(b, n.js.DeleteStream(b.Context(), streamName))
}

func (n *natsBench) first(b *testing.B) {
	const turns = 3
	emitter := n.open(b)
	sinkbench.New(emitter, emitter.Publish, "bench", firstRows).Export(b)
	messages := n.messages(b)
	n.close(b, emitter)
	var ours, raw []time.Duration
	for range turns {
		emitter := n.open(b)
		place := sinkbench.New(emitter, emitter.Publish, "bench", firstRows)
		runtime.GC()
		ours = append(ours, place.Export(b))
		n.close(b, emitter)
		emitter = n.open(b)
		runtime.GC()
		raw = append(raw, n.publish(b, messages))
		n.close(b, emitter)
	}
	fmt.Fprintf(os.Stderr, "%d rows: %s, by the bare client: %s\n", firstRows, ours, raw)
	took := sinkbench.Median(ours)
	b.ReportMetric(float64(sinkbench.Median(raw))/float64(took), "x-raw-rate")
	b.ReportMetric(firstRows/took.Seconds(), "rows/s")
}

// messages returns what the stream has, as it may be published anew.
func (n *natsBench) messages(b *testing.B) (messages []*natsgo.Msg) {
	b.Helper()
	stream, err := n.js.Stream(b.Context(), streamName)
	must(b, err)
	consumer, err := n.js.OrderedConsumer(b.Context(), streamName, jetstream.OrderedConsumerConfig{})
	must(b, err)
	iterator, err := consumer.Messages()
	must(b, err)
	defer iterator.Stop()
	for uint64(len(messages)) < stream.CachedInfo().State.Msgs {
		m, err := iterator.Next()
		must(b, err)
		for name := range m.Headers() {
			if strings.HasPrefix(name, "Nats-Batch-") || strings.HasPrefix(name, "Nats-Expected-") {
				m.Headers().Del(name)
			}
		}
		messages = append(messages, &natsgo.Msg{Subject: m.Subject(), Header: m.Headers(), Data: m.Data()})
	}
	if len(messages) < firstRows {
		b.Fatalf("the stream has %d messages of %d rows", len(messages), firstRows)
	}
	return messages
}

// publish publishes the messages asynchronously, and returns how long it took until
// the stream had them all.
func (n *natsBench) publish(b *testing.B, messages []*natsgo.Msg) time.Duration {
	b.Helper()
	began := time.Now()
	for _, m := range messages {
		_, err := n.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute))
		must(b, err)
	}
	select {
	case <-n.js.PublishAsyncComplete():
	case <-b.Context().Done():
	}
	took := time.Since(began)
	stream, err := n.js.Stream(b.Context(), streamName)
	must(b, err)
	if got := stream.CachedInfo().State.Msgs; got != uint64(len(messages)) {
		b.Fatalf("the stream has %d of %d messages", got, len(messages))
	}
	return took
}

func (n *natsBench) changes(b *testing.B) {
	emitter := n.open(b)
	few := sinkbench.New(emitter, emitter.Publish, "few", fewRows)
	many := sinkbench.New(emitter, emitter.Publish, "many", manyRows)
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", fewRows, few.Export(b))
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", manyRows, many.Export(b))
	took := sinkbench.MeasureTurns(b, few.Turn, many.Turn, n.bare(b, many))
	b.ReportMetric(float64(took[1])/float64(took[0]), "x-1m-to-10k")
	b.ReportMetric(float64(took[1])/float64(took[2]), "x-bare-100")
	b.ReportMetric(float64(took[1])/1e6, "change-ms")
	n.close(b, emitter)
}

// bare returns what the bare client does: it publishes a message of each of 100 rows of
// the place asynchronously, others each time, spread over all of the stream as those
// are that the place changes.
func (n *natsBench) bare(b *testing.B, p *sinkbench.Place) sinkbench.Turn {
	b.Helper()
	stream, err := n.js.Stream(b.Context(), streamName)
	must(b, err)
	var subjects []string
	const apart = manyRows / (sinkbench.Rounds * sinkbench.Changes)
	i := 0
	for e := range p.Sample().Snapshot().All() {
		if i++; i%apart == 0 {
			subjects = append(subjects, "kollect.v1.many.bench.apps.Deployment_apps."+e.Key.String())
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(subjects), func(i, j int) { subjects[i], subjects[j] = subjects[j], subjects[i] })
	like, err := stream.GetLastMsgForSubject(b.Context(), subjects[0])
	must(b, err)
	for name := range like.Header {
		if strings.HasPrefix(name, "Nats-") {
			like.Header.Del(name)
		}
	}
	return func(b *testing.B) time.Duration {
		b.Helper()
		began := time.Now()
		for _, subject := range subjects[:sinkbench.Changes] {
			header := maps.Clone(like.Header)
			header.Set(natsgo.MsgIdHdr, subject)
			_, err := n.js.PublishMsgAsync(&natsgo.Msg{Subject: subject, Header: header, Data: like.Data})
			must(b, err)
		}
		select {
		case <-n.js.PublishAsyncComplete():
		case <-b.Context().Done():
		}
		subjects = subjects[sinkbench.Changes:]
		return time.Since(began)
	}
}

func (n *natsBench) freshness(b *testing.B) {
	f := sinkbench.NewFreshness()
	emitter := n.open(b)
	consumer, err := n.js.OrderedConsumer(b.Context(), streamName, jetstream.OrderedConsumerConfig{})
	must(b, err)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		at := time.Now()
		var row struct{ Attributes json.RawMessage }
		if json.Unmarshal(m.Data(), &row) == nil {
			f.See(string(row.Attributes), at)
		}
	})
	must(b, err)
	place := sinkbench.New(emitter, emitter.Publish, "bench", firstRows)
	b.ReportMetric(float64(f.Run(b, place, export.FromEventEmitter(emitter)))/1e6, "p99-ms")
	consuming.Stop()
	<-consuming.Closed()
	n.close(b, emitter)
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
