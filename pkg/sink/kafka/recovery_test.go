package kafka

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var ref = inventory.Ref{Namespace: "team-a", Name: "apps"}

// at is the time of the export of a generation.
func at(generation int64) time.Time {
	return time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC).Add(time.Duration(generation) * time.Minute)
}

// resume reads back what the topic holds.
func resume(ctx context.Context, e *Emitter, of *inventory.Inventory) (*inventory.Base, sink.Mark, error) {
	mark, err := e.Mark(ctx, of)
	if err != nil {
		return nil, mark, fmt.Errorf("mark: %w", err)
	}
	var rows []inventory.Held
	err = e.Held(ctx, of, func(h inventory.Held) error {
		rows = append(rows, h)
		return nil
	})
	return inventory.NewBase(rows), mark, err
}

func deltaOf(base *inventory.Base, mark sink.Mark, s *inventory.Snapshot, generation int64, schema string) sink.Delta {
	return sink.Delta{
		Inventory: s.Inventory(), Base: mark, Generation: generation, Time: at(generation), Schema: schema,
		Hash: s.Hash().String(), Rows: int64(s.Len()), Updates: base.Diff(s, nil),
	}
}

// tryExport exports as a process that has just started.
func tryExport(ctx context.Context, e *Emitter, s *inventory.Snapshot, generation int64) error {
	base, mark, err := resume(ctx, e, s.Inventory())
	if err != nil {
		return err
	}
	_, err = e.Publish(ctx, deltaOf(base, mark, s, generation, e.Schema(s.Inventory())))
	return err
}

func mustExport(t *testing.T, e *Emitter, s *inventory.Snapshot, generation int64) {
	t.Helper()
	if err := tryExport(t.Context(), e, s, generation); err != nil {
		t.Fatalf("export generation %d: %v", generation, err)
	}
}

func contentOf(s *inventory.Snapshot, generation int64) *sinktest.Content {
	want := &sinktest.Content{Generation: generation, Rows: map[string]string{}}
	for e := range s.All() {
		want.Rows[e.Key.String()] = e.Row.Attributes()
	}
	return want
}

func mustRead(t *testing.T, d *destination, s *inventory.Snapshot, generation int64) {
	t.Helper()
	got, err := d.Read(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if diff := cmp.Diff(contentOf(s, generation), got); diff != "" {
		t.Fatalf("a reader sees: -want +got\n%s", diff)
	}
}

// The broker restarts while an export has come to its third transaction.
//
// It runs before all that is parallel.
func TestBrokerRestartsMidway(t *testing.T) {
	d := newDestination(t)
	d.records = 1000
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(100)
	mustExport(t, e, sample.Snapshot(), 1)
	sample.Delete()
	sample.Set("web", "nginx:1.27")
	sample.Fill(4000)

	base, mark, err := resume(t.Context(), e, sample.Snapshot().Inventory())
	if err != nil {
		t.Fatal(err)
	}
	delta := deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(sample.Snapshot().Inventory()))
	rounds, updates := 0, delta.Updates
	delta.Updates = func(yield func(inventory.Update) bool) {
		n := 0
		rounds++
		for u := range updates {
			if n++; n == 2500 && rounds == 2 {
				server.Kill()
				if err := server.Up(t.Context()); err != nil {
					t.Errorf("start the broker again: %v", err)
				}
			}
			if !yield(u) {
				return
			}
		}
	}
	if _, err := e.Publish(t.Context(), delta); err == nil {
		t.Log("the export went on after the restart")
	} else if errors.Is(err, sink.ErrFenced) || sink.IsPermanent(err) {
		t.Errorf("error is %v", err)
	}
	sample.Set("api", "nginx:1.28")
	mustExport(t, e, sample.Snapshot(), 3)
	mustRead(t, d, sample.Snapshot(), 3)
}

// Another's transaction stays open in the partition: nobody waits for it, and what
// it holds is not read.
func TestOpenTransactionHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	createTopic(t, d.spec.Topic, 1, map[string]string{"cleanup.policy": "compact"})
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(10)
	mustExport(t, e, sample.Snapshot(), 1)

	other := sinktest.NewSample(inventory.Ref{Namespace: "team-b", Name: "apps"})
	other.Fill(10)
	hung := d.open(t)
	defer hung.Close()
	mustExport(t, hung, other.Snapshot(), 1)
	before := other.Snapshot()
	p := hung.producers[placeOf(other.Snapshot().Inventory())]
	begin := func() {
		t.Helper()
		if err := p.client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		key := []byte(string(placeOf(before.Inventory())) + "/" + keyCheckpoint)
		if err := p.client.ProduceSync(t.Context(), &kgo.Record{Key: key, Value: []byte("not committed")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	for generation := int64(2); generation < 5; generation++ {
		sample.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		fresh := d.open(t)
		mustExport(t, fresh, sample.Snapshot(), generation)
		fresh.Close()
		if mark, err := e.Mark(t.Context(), sample.Snapshot().Inventory()); err != nil || mark.Generation != generation {
			t.Fatalf("mark is %+v: %v", mark, err)
		}
	}
	x, err := e.extent(t.Context(), 0)
	if err != nil || x.stable == x.end {
		t.Fatalf("no transaction is open: %+v, %v", x, err)
	}
	// Neither is what was aborted.
	if err := p.client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	begin()
	for _, of := range []*inventory.Snapshot{before, sample.Snapshot()} {
		held, mark, err := resume(t.Context(), e, of.Inventory())
		if err != nil || held.Hash() != of.Hash() || mark.Hash != of.Hash().String() {
			t.Errorf("%d rows and mark %+v are held: %v", held.Len(), mark, err)
		}
	}
	// Who writes next ends it.
	other.Delete()
	fresh := d.open(t)
	defer fresh.Close()
	mustExport(t, fresh, other.Snapshot(), 2)
	if _, err := d.settle(t.Context(), other.Snapshot().Inventory()); err != nil {
		t.Fatal(err)
	}
	if x, err := e.extent(t.Context(), 0); err != nil || x.stable != x.end {
		t.Errorf("a transaction is open: %+v, %v", x, err)
	}
	mustRead(t, d, other.Snapshot(), 2)
	mustRead(t, d, sample.Snapshot(), 4)
}

func TestInventoriesStayWhenPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	createTopic(t, d.spec.Topic, 1, map[string]string{"cleanup.policy": "compact"})
	var samples []*sinktest.Sample
	for i := range 12 {
		s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: fmt.Sprintf("apps-%d", i)})
		s.Fill(5)
		samples = append(samples, s)
	}
	export := func(generation int64, samples ...*sinktest.Sample) {
		t.Helper()
		e := d.open(t)
		defer e.Close()
		for _, s := range samples {
			mustExport(t, e, s.Snapshot(), generation)
		}
	}
	export(1, samples[:6]...)
	for i, partitions := range []int{3, 7} {
		if _, err := admin.UpdatePartitions(t.Context(), partitions, d.spec.Topic); err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			s.Set("web", fmt.Sprintf("nginx:1.%d", i))
			s.Delete(fmt.Sprintf("app-%07d", i))
		}
		export(int64(2+i), samples[:9+3*i]...)
	}
	in := map[string]map[int32]bool{}
	for _, s := range samples {
		mustRead(t, d, s.Snapshot(), 3)
		of := s.Snapshot().Inventory()
		in[of.Name] = map[int32]bool{}
		if err := d.consume(t.Context(), of, func(_, _ string, r *kgo.Record) error {
			in[of.Name][r.Partition] = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(in[of.Name]) != 1 {
			t.Errorf("records of %s are in partitions %v", of.Name, in[of.Name])
		}
	}
	spread := map[int32]bool{}
	for _, partitions := range in {
		for partition := range partitions {
			spread[partition] = true
		}
	}
	if len(spread) < 3 || !in["apps-0"][0] {
		t.Errorf("inventories are in partitions %v", in)
	}
}

// Compaction removes what others have taken the place of, and tombstones at once.
func TestCompactedTopic(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	createTopic(t, d.spec.Topic, 1, map[string]string{
		"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "0", "segment.ms": "200",
	})
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(500)
	mustExport(t, e, sample.Snapshot(), 1)
	of := sample.Snapshot().Inventory()
	sample.Delete("app-0000001", "app-0000002")
	generation := int64(2)
	mustExport(t, e, sample.Snapshot(), generation)
	deadline := time.Now().Add(30 * time.Second)
	for left := 1; left > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the topic is not compacted")
		}
		generation++
		sample.Set("web", fmt.Sprintf("nginx:1.%d", generation)) // for a new segment
		mustExport(t, e, sample.Snapshot(), generation)
		left = 0
		d.consumer.close()
		d.consumer = consumer{} // read all of it
		if err := d.consume(t.Context(), of, func(kind, _ string, _ *kgo.Record) error {
			if kind == "io.kollect.row.deleted.v1" {
				left++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []*Emitter{e, d.open(t)} {
		held, mark, err := resume(t.Context(), e, of)
		if err != nil || held.Hash() != sample.Snapshot().Hash() || mark.Generation != generation {
			t.Errorf("%d rows and mark %+v are held: %v", held.Len(), mark, err)
		}
		e.Close()
	}
}

// A topic that is made again is empty, whatever the emitter remembers.
func TestTopicIsMadeAgain(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(20)
	of := sample.Snapshot().Inventory()
	for generation := range int64(5) {
		sample.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		mustExport(t, e, sample.Snapshot(), 1+generation)
	}
	base, mark := inventory.BaseOf(sample.Snapshot()), sink.Mark{}
	mark, err := e.Mark(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	makeAgain(t, d, 3)
	sample.Set("web", "nginx:2")
	if _, err := e.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), 9, e.Schema(of))); err == nil {
		t.Error("what has changed was published to a topic that is empty")
	}
	mustExport(t, e, sample.Snapshot(), 10)
	mustRead(t, d, sample.Snapshot(), 10)
}

// makeAgain removes the destination's topic, and creates it with so many partitions.
func makeAgain(t *testing.T, d *destination, partitions int32) {
	t.Helper()
	if _, err := admin.DeleteTopic(t.Context(), d.spec.Topic); err != nil {
		t.Fatal(err)
	}
	createTopic(t, d.spec.Topic, partitions, map[string]string{"cleanup.policy": "compact"})
	for found := 0; found != int(partitions); { // or the broker may take records for what is about to be deleted
		topics, err := admin.ListTopics(t.Context(), d.spec.Topic)
		if err != nil {
			t.Fatal(err)
		}
		found = len(topics[d.spec.Topic].Partitions)
	}
}

// Brokers before Kafka 4.0 do not tell a topic from one that is made again, in which
// another inventory may have come further than this one was.
func TestTopicIsMadeAgainAtAnOldBroker(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	createTopic(t, d.spec.Topic, 1, map[string]string{"cleanup.policy": "compact"})
	e := d.open(t)
	defer e.Close()
	e.common = append(e.common, kgo.MaxVersions(kversion.V3_9_0())) // of producers
	first, second := sinktest.NewSample(ref), sinktest.NewSample(inventory.Ref{Namespace: "team-b", Name: "apps"})
	samples := []*sinktest.Sample{first, second}
	for _, s := range samples {
		s.Fill(20)
		mustExport(t, e, s.Snapshot(), 1)
	}
	of := second.Snapshot().Inventory()
	base, mark, err := resume(t.Context(), e, of)
	if err != nil {
		t.Fatal(err)
	}
	export := func(generation int64) error {
		second.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		_, err := e.Publish(t.Context(), deltaOf(base, mark, second.Snapshot(), generation, e.Schema(of)))
		return err
	}
	confirm := func(int64) error {
		_, err := e.Confirm(t.Context(), of, mark, time.Now())
		return err
	}
	for i, write := range []func(generation int64) error{export, confirm} {
		makeAgain(t, d, 1)
		first.Fill(500 * (1 + 2*i))
		fresh := d.open(t)
		mustExport(t, fresh, first.Snapshot(), 2)
		fresh.Close()
		if err := write(2); err == nil {
			t.Errorf("write %d that follows what was there was taken by a topic that is empty", i)
		}
		for _, s := range samples {
			mustExport(t, e, s.Snapshot(), 3)
		}
		if base, mark, err = resume(t.Context(), e, of); err != nil {
			t.Fatal(err)
		}
	}
	d.consumer.close()
	d.consumer = consumer{}
	mustRead(t, d, second.Snapshot(), 3)
}

// kcat, which is of librdkafka, reads what is committed.
func TestKcatReadsTheRows(t *testing.T) {
	t.Parallel()
	d := newDestination(t)
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Set("web", "nginx:1.27")
	mustExport(t, e, sample.Snapshot(), 1)
	var key string
	for entry := range sample.Snapshot().All() {
		key = "demo/team-a/apps/" + entry.Key.String()
	}
	sample.Delete()
	mustExport(t, e, sample.Snapshot(), 2)
	out, err := exec.CommandContext(t.Context(), "kcat", "-b", server.Address(), "-t", d.spec.Topic, "-C", "-e", "-q",
		"-X", "isolation.level=read_committed", "-f", `%k %S %h\n`).CombinedOutput()
	if err != nil {
		t.Fatalf("kcat: %v: %s", err, out)
	}
	var rows []string
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, key+" ") {
			rows = append(rows, strings.TrimSpace(line[len(key):]))
		}
	}
	if len(rows) != 2 || !strings.Contains(rows[0], "ce_type=io.kollect.row.upserted.v1") || !strings.HasPrefix(rows[1], "-1 ") || !strings.Contains(rows[1], "ce_type=io.kollect.row.deleted.v1") {
		t.Errorf("kcat reads of %s: %q\nof all: %s", key, rows, out)
	}
	for _, marker := range []string{"_begin", "_end", "_checkpoint"} {
		if !strings.Contains(string(out), "demo/team-a/apps/"+marker+" ") {
			t.Errorf("kcat reads no %s:\n%s", marker, out)
		}
	}
}
