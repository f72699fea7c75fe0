package nats_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestThreeServers(t *testing.T) {
	t.Parallel()
	servers := startCluster(t)
	sinktest.TestEvents(t, func(t *testing.T) sinktest.Events {
		return withoutFaults{newDestination(t, servers[1].ClientURL(), history(3, true))}
	})
	t.Run("goes on without the stream's leader", func(t *testing.T) { testLeaderStops(t, servers) })
}

// testLeaderStops stops the stream's leader while an export is in its third batch.
func testLeaderStops(t *testing.T, servers []*server.Server) {
	addresses := servers[0].ClientURL() + "," + servers[1].ClientURL() + "," + servers[2].ClientURL()
	d := newDestination(t, servers[1].ClientURL(), jetstream.StreamConfig{})
	d.timeout = 3 * time.Second // what the leader does not answer, nobody does
	e := d.open(t)
	defer e.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(100)
	of := sample.Snapshot().Inventory()
	mustExport(t, e, sample.Snapshot(), 1)
	stream, err := d.js.Stream(t.Context(), streamName)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().Config.Replicas; n != 3 {
		t.Errorf("the sink creates the stream with %d replicas", n)
	}

	sample.Fill(4000)
	base, mark, err := resume(t.Context(), e, of)
	if err != nil {
		t.Fatal(err)
	}
	delta := deltaOf(base, mark, sample.Snapshot(), 2, e.Schema(of))
	rounds, updates := 0, delta.Updates
	delta.Updates = func(yield func(inventory.Update) bool) {
		n := 0
		rounds++
		for u := range updates {
			if n++; n == 2500 && rounds == 2 {
				for _, s := range servers {
					if s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, streamName) {
						stop(s)
					}
				}
			}
			if !yield(u) {
				return
			}
		}
	}
	if _, err := e.Publish(t.Context(), delta); err != nil && (errors.Is(err, sink.ErrFenced) || sink.IsPermanent(err)) {
		t.Errorf("error is %v", err)
	}
	d.js = client(t, addresses)
	sample.Set("api", "nginx:1.28")
	generation := int64(2)
	until(t, "an export goes through", func() bool {
		generation++
		base, mark, err := resume(t.Context(), e, of)
		if err == nil {
			_, err = e.Publish(t.Context(), deltaOf(base, mark, sample.Snapshot(), generation, e.Schema(of)))
		}
		if sink.IsPermanent(err) {
			t.Fatalf("error is %v", err)
		}
		return err == nil
	})
	mustRead(t, d, sample.Snapshot(), generation)
}
