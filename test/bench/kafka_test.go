package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink/kafka"
	service "kollect.io/kollect/test/services/kafka"
	"kollect.io/kollect/test/sinkbench"
)

// BenchmarkKafka measures exports to a broker of its own, to topics that the sink has
// made.
//
// x-raw-rate is the rate of a first export of 100,000 rows, divided by the
// yardstick's: the client producing the same records asynchronously, without
// transactions, to such a topic, the two in turns, beside the same live heap. x-1m-to-10k is the time of 100
// changes of 1,000,000 rows divided by that of 100 of 10,000. p99-ms is how long after
// a change of the inventory, 1,000 a second, a consumer that reads what is committed
// receives its event.
func BenchmarkKafka(b *testing.B) {
	server, err := service.Start(b.Context())
	must(b, err)
	b.Cleanup(func() { must(b, server.Stop()) })
	client, err := kgo.NewClient(kgo.SeedBrokers(server.Address()))
	must(b, err)
	b.Cleanup(client.Close)
	k := &kafkaBench{address: server.Address(), admin: kadm.NewClient(client)}
	for b.Loop() {
		k.first(b)
		k.freshness(b)
		k.changes(b)
	}
	b.ReportMetric(0, "ns/op")
}

type kafkaBench struct {
	address string
	admin   *kadm.Client
	topics  int
}

// open returns an emitter, whose topic is new.
func (k *kafkaBench) open(b *testing.B) (_ *kafka.Emitter, topic string) {
	b.Helper()
	k.topics++
	topic = fmt.Sprintf("bench-%d", k.topics)
	emitter, err := kafka.Open(b.Context(), kollectv1alpha1.KafkaSink{Brokers: []string{k.address}, Topic: topic}, nil, kafka.Options{})
	must(b, err)
	return emitter, topic
}

// close closes the emitter and deletes its topic.
func (k *kafkaBench) close(b *testing.B, emitter *kafka.Emitter, topic string) {
	b.Helper()
	must(b, emitter.Close())
	_, err := k.admin.DeleteTopic(b.Context(), topic)
	must(b, err)
}

func (k *kafkaBench) first(b *testing.B) {
	const turns = 5
	emitter, topic := k.open(b)
	sinkbench.New(emitter, emitter.Publish, "bench", firstRows).Export(b)
	records := k.records(b, topic)
	k.close(b, emitter, topic)
	var ours, raw []time.Duration
	for range turns {
		emitter, topic := k.open(b)
		place := sinkbench.New(emitter, emitter.Publish, "bench", firstRows)
		runtime.GC()
		ours = append(ours, place.Export(b))
		k.close(b, emitter, topic)
		emitter, topic = k.open(b)
		again := make([]*kgo.Record, len(records))
		for i, r := range records { // which the client has changed
			again[i] = &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers}
		}
		runtime.GC()
		raw = append(raw, k.produce(b, topic, again))
		k.close(b, emitter, topic)
	}
	fmt.Fprintf(os.Stderr, "%d rows: %s, by the bare client: %s\n", firstRows, ours, raw)
	took := sinkbench.Median(ours)
	b.ReportMetric(float64(sinkbench.Median(raw))/float64(took), "x-raw-rate")
	b.ReportMetric(firstRows/took.Seconds(), "rows/s")
}

// consumer returns a client that reads what is committed of a topic.
func (k *kafkaBench) consumer(b *testing.B, topic string) *kgo.Client {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeTopics(topic))
	must(b, err)
	return client
}

// records returns what the topic has, as it may be produced anew.
func (k *kafkaBench) records(b *testing.B, topic string) (records []*kgo.Record) {
	b.Helper()
	client := k.consumer(b, topic)
	defer client.Close()
	for last := ""; last != "bench/bench/apps/_end"; {
		fetches := client.PollFetches(b.Context())
		must(b, fetches.Err())
		for _, r := range fetches.Records() {
			last = string(r.Key)
			records = append(records, &kgo.Record{Key: r.Key, Value: r.Value, Headers: r.Headers})
			if last == "bench/bench/apps/_end" {
				break
			}
		}
	}
	if len(records) < firstRows {
		b.Fatalf("the topic has %d records of %d rows", len(records), firstRows)
	}
	return records
}

// produce produces the records asynchronously, and returns how long it took until the
// topic had them all.
func (k *kafkaBench) produce(b *testing.B, topic string, records []*kgo.Record) time.Duration {
	b.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(k.address), kgo.DefaultProduceTopic(topic))
	must(b, err)
	defer client.Close()
	began := time.Now()
	var mu sync.Mutex
	var failed error
	for _, r := range records {
		client.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	must(b, client.Flush(b.Context()))
	took := time.Since(began)
	must(b, failed)
	return took
}

func (k *kafkaBench) changes(b *testing.B) {
	emitter, topic := k.open(b)
	few := sinkbench.New(emitter, emitter.Publish, "few", fewRows)
	many := sinkbench.New(emitter, emitter.Publish, "many", manyRows)
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", fewRows, few.Export(b))
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", manyRows, many.Export(b))
	took := sinkbench.Measure(b, few, many)
	b.ReportMetric(float64(took[1])/float64(took[0]), "x-1m-to-10k")
	b.ReportMetric(float64(took[1])/1e6, "change-ms")
	k.close(b, emitter, topic)
}

func (k *kafkaBench) freshness(b *testing.B) {
	f := sinkbench.NewFreshness()
	emitter, topic := k.open(b)
	client := k.consumer(b, topic)
	ctx, stop := context.WithCancel(b.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			at := time.Now()
			fetches.EachRecord(func(r *kgo.Record) {
				var row struct{ Attributes json.RawMessage }
				if json.Unmarshal(r.Value, &row) == nil {
					f.See(string(row.Attributes), at)
				}
			})
		}
	})
	place := sinkbench.New(emitter, emitter.Publish, "bench", firstRows)
	b.ReportMetric(float64(f.Run(b, place, export.FromEventEmitter(emitter)))/1e6, "p99-ms")
	stop()
	ended.Wait()
	client.Close()
	k.close(b, emitter, topic)
}
