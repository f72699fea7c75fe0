package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/kafka"
)

// server is that of all tests, each of which has a topic of its own.
var (
	server *service.Server
	admin  *kadm.Client
	topics atomic.Int64
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if server, err = service.Start(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Stop()
		client, err := kgo.NewClient(kgo.SeedBrokers(server.Address()))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer client.Close()
		admin = kadm.NewClient(client)
		return m.Run()
	}())
}

// newTopic returns the name of a topic that nobody uses.
func newTopic() string { return fmt.Sprintf("Test.rows_%d", topics.Add(1)) }

// destination is a topic of its own, which the sink creates.
type destination struct {
	sinktest.Injector
	consumer consumer
	spec     kollectv1alpha1.KafkaSink
	secret   map[string][]byte
	// records is how many of them make a transaction; 0: as many as always.
	records  int
	split    int // the same while exports are interrupted
	emitters []*Emitter
}

func newDestination(t *testing.T) *destination {
	d := &destination{
		spec: kollectv1alpha1.KafkaSink{Brokers: []string{server.Address()}, Topic: newTopic()},
	}
	t.Cleanup(d.consumer.close)
	return d
}

func (d *destination) Open(t *testing.T) sink.EventEmitter {
	t.Helper()
	return d.open(t)
}

func (d *destination) open(t *testing.T) *Emitter {
	t.Helper()
	emitter, err := Open(t.Context(), d.spec, d.secret, Options{Dial: d.Dial, RetryWait: time.Millisecond})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if d.records > 0 {
		emitter.records = d.records
	}
	d.emitters = append(d.emitters, emitter)
	return emitter
}

// prefixOf is what the keys of an inventory begin with.
func prefixOf(of *inventory.Inventory) string {
	return segment(of.Cluster, "_") + "/" + segment(of.Namespace, "_cluster") + "/" + segment(of.Name, "_") + "/"
}

// segment is a name in a key.
func segment(name, empty string) string {
	if name == "" {
		return empty
	}
	var b strings.Builder
	for i, c := range []byte(name) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// consumer has read the committed records of a topic so far.
type consumer struct {
	mu      sync.Mutex // guards what follows
	client  *kgo.Client
	next    map[int32]int64 // offset after what was read of a partition
	records []*kgo.Record
}

// read returns all records before the offsets, in the order of each partition.
func (c *consumer) read(ctx context.Context, d *destination, ends kadm.ListedOffsets) ([]*kgo.Record, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		client, err := kgo.NewClient(kgo.SeedBrokers(d.spec.Brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
			kgo.FetchMaxWait(10*time.Millisecond), kgo.MetadataMinAge(10*time.Millisecond), kgo.ConsumeTopics(d.spec.Topic))
		if err != nil {
			return nil, err
		}
		c.client, c.next = client, map[int32]int64{}
	}
	behind := func() (some bool) {
		ends.Each(func(o kadm.ListedOffset) { some = some || c.next[o.Partition] < o.Offset })
		return some
	}
	for behind() {
		fetches := c.client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetches.Records() {
			c.next[r.Partition] = r.Offset + 1
			c.records = append(c.records, r)
		}
	}
	return c.records, nil
}

func (c *consumer) close() {
	if c.client != nil {
		c.client.Close()
	}
}

// consume calls take with all records of the inventory that are committed. It is
// another way to find that out than the sink has: it asks whether the transaction's
// end is decided, and waits until it can be seen.
func (d *destination) consume(ctx context.Context, of *inventory.Inventory, take func(kind, last string, r *kgo.Record) error) error {
	ends, err := d.settle(ctx, of)
	if err != nil {
		return err
	}
	records, err := d.consumer.read(ctx, d, ends)
	if err != nil {
		return err
	}
	for _, r := range records {
		if last, ours := strings.CutPrefix(string(r.Key), prefixOf(of)); ours && !r.Attrs.IsControl() {
			if err := take(headerOf(r, "ce_type"), last, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle returns the stable offsets of the partitions, once these have leaders.
func (d *destination) settle(ctx context.Context, of *inventory.Inventory) (kadm.ListedOffsets, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		id := "kollect-" + d.spec.Topic + "/" + strings.TrimSuffix(prefixOf(of), "/")
		states, err := admin.DescribeTransactions(ctx, id)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(states[id].State, "Prepare") {
			continue
		}
		ends, err := admin.ListCommittedOffsets(ctx, d.spec.Topic)
		if err == nil || ctx.Err() != nil {
			return ends, err
		}
	}
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	content := &sinktest.Content{Rows: map[string]string{}}
	err := d.consume(ctx, of, func(kind, last string, r *kgo.Record) error {
		switch kind {
		case "io.kollect.row.upserted.v1":
			attributes, err := readRow(r, last)
			content.Rows[last] = attributes
			return err
		case "io.kollect.row.deleted.v1":
			delete(content.Rows, last)
		case "io.kollect.checkpoint.v1":
			var mark struct {
				Generation  int64
				ContentHash string
				Rows        int
			}
			if err := json.Unmarshal(r.Value, &mark); err != nil {
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

func readRow(r *kgo.Record, last string) (attributes string, err error) {
	var row struct {
		Key        string
		Attributes json.RawMessage
	}
	if err := json.Unmarshal(r.Value, &row); err != nil {
		return "", fmt.Errorf("row at %s: %w", r.Key, err)
	}
	if row.Key != last || row.Key != headerOf(r, "ce_subject") {
		return "", fmt.Errorf("row %s, of subject %s in its headers, is at %s", row.Key, headerOf(r, "ce_subject"), r.Key)
	}
	return string(row.Attributes), nil
}

func (d *destination) Log(ctx context.Context, of *inventory.Inventory) (events []sinktest.Event, err error) {
	err = d.consume(ctx, of, func(kind, last string, r *kgo.Record) (err error) {
		event := sinktest.Event{ID: headerOf(r, "ce_id"), Key: last}
		switch kind {
		case "io.kollect.row.upserted.v1":
			if event.Attributes, err = readRow(r, last); err != nil {
				return err
			}
		case "io.kollect.row.deleted.v1":
			if r.Value != nil {
				return fmt.Errorf("a tombstone has the value %q", r.Value)
			}
		default:
			return nil
		}
		events = append(events, event)
		return nil
	})
	return events, err
}

// Interrupt has exports take several transactions, that they are interrupted between
// them too.
func (d *destination) Interrupt(n int, how sinktest.Interruption) {
	d.Injector.Interrupt(n, how)
	for _, e := range d.emitters {
		if e.records = d.records; n >= 0 {
			e.records = d.split
		}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	sinktest.TestEvents(t, func(t *testing.T) sinktest.Events {
		d := newDestination(t)
		if d.records, d.split = 1000, 20; strings.Contains(t.Name(), "recovers") {
			d.split = 2
		}
		return d
	})
}
