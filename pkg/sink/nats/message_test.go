package nats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestMessagesHaveNothingOfThoseBefore(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	of := s.Snapshot().Inventory()
	x := cloudevent.NewExport(of, 42, time.Unix(1, 0), cloudevent.Schema(of))
	var events []func() *cloudevent.Event
	for e := range s.Snapshot().All() {
		events = append(events,
			func() *cloudevent.Event { return x.Upserted(1, e.Key, e.Row) },
			func() *cloudevent.Event { return x.Referred(2, e.Key, e.Row) },
			func() *cloudevent.Event { return x.Deleted(3, e.Key, e.Row.Origin()) },
			func() *cloudevent.Event {
				event, err := x.Marker("4", cloudevent.Checkpoint, sink.Mark{Generation: 42})
				if err != nil {
					t.Fatal(err)
				}
				return event
			})
	}
	again := newMessages(placeOf(of))
	for _, before := range events {
		for _, event := range events {
			again.reset()
			expect(again.next("before", before()), "somewhere", 7)
			again.reset()
			got, want := again.next("subject", event()), newMessages(placeOf(of)).next("subject", event())
			expect(got, "somewhere", 8)
			expect(want, "somewhere", 8)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(nats.Msg{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-made alone +made after another\n%s", diff)
			}
		}
	}
}
