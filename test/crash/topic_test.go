package crash

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/test/services/kafka"
)

const topicName = "kollect"

// topic is a topic of an Apache Kafka broker, of which nothing is compacted away.
type topic struct {
	server   *kafka.Server
	client   *kgo.Client
	admin    *kadm.Client
	journals map[string]*journal // by what the keys of an inventory begin with
	next     map[int32]int64     // offset in each partition
	broken   error
}

var _ crasher = (*topic)(nil)

func startTopic(ctx context.Context) (_ *topic, err error) {
	t := &topic{}
	t.replay()
	if t.server, err = kafka.Start(ctx); err != nil {
		return nil, err
	}
	admin, err := kgo.NewClient(kgo.SeedBrokers(t.server.Address()))
	if err != nil {
		return t, err
	}
	t.admin = kadm.NewClient(admin)
	compact := "compact"
	_, err = t.admin.CreateTopic(ctx, 3, 1, map[string]*string{"cleanup.policy": &compact}, topicName)
	return t, err
}

func (*topic) name() string { return "topic" }

func (t *topic) end() error {
	if t.client != nil {
		t.client.Close()
	}
	if t.admin != nil {
		t.admin.Close()
	}
	return t.server.Stop()
}

func (t *topic) sink(string) string {
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: topic}
spec: {type: kafka, kafka: {brokers: [%q], topic: %s}}
`, t.server.Address(), topicName)
}

func (*topic) slow() bool { return true }

func (t *topic) kill() error {
	t.server.Kill()
	return nil
}

func (t *topic) up(ctx context.Context) error { return t.server.Up(ctx) }

// replay has all read from the beginning again.
func (t *topic) replay() {
	t.journals, t.next = map[string]*journal{}, map[int32]int64{}
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}

func (t *topic) read(ctx context.Context, namespace, inventory string) (content, error) {
	if t.broken == nil {
		if err := t.readOn(ctx); err != nil {
			return content{}, err
		}
	}
	if t.broken != nil {
		return content{}, t.broken
	}
	j := t.journal(fmt.Sprintf("%s/%s/%s", clusterName, namespace, inventory))
	c := j.content()
	c.Rows = maps.Clone(c.Rows)
	return c, nil
}

func (t *topic) journal(place string) *journal {
	if t.journals[place] == nil {
		t.journals[place] = newJournal()
	}
	return t.journals[place]
}

// readOn reads what is committed, to the end of each partition.
func (t *topic) readOn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ends, err := t.admin.ListCommittedOffsets(ctx, topicName)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	if t.client == nil {
		if t.client, err = kgo.NewClient(kgo.SeedBrokers(t.server.Address()), kgo.ConsumeTopics(topicName),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond)); err != nil {
			return err
		}
	}
	for t.behind(ends) {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if t.broken == nil {
				t.broken = t.take(r)
			}
			t.next[r.Partition] = r.Offset + 1 // also of the marks of transactions, which end each
		})
		if t.broken != nil {
			return nil
		}
	}
	return nil
}

// behind reports whether there is more to read up to those ends.
func (t *topic) behind(ends kadm.ListedOffsets) (behind bool) {
	ends.Each(func(end kadm.ListedOffset) {
		behind = behind || t.next[end.Partition] < end.Offset
	})
	return behind
}

func (t *topic) take(r *kgo.Record) error {
	if r.Attrs.IsControl() {
		return nil
	}
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	i := strings.LastIndexByte(string(r.Key), '/')
	if i < 0 {
		return brokenf("record %d of partition %d has the key %q", r.Offset, r.Partition, r.Key)
	}
	return t.journal(string(r.Key[:i])).take(event{headers["ce_type"], headers["ce_id"], headers["ce_subject"], r.Value})
}
