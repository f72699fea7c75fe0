package kafka

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// full returns a piece of the flight that is as large as any, with all of its records.
func full(t *testing.T, f *flight, generation int64) *piece {
	t.Helper()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	of := s.Snapshot().Inventory()
	x := cloudevent.NewExport(of, generation, time.Unix(1, 0), cloudevent.Schema(of))
	p := f.piece()
	for len(p.records) < maxPiece {
		p = f.piece()
	}
	for i := range maxPiece {
		event, err := x.Marker(fmt.Sprint(i), cloudevent.Checkpoint, sink.Mark{Generation: generation})
		if err != nil {
			t.Fatal(err)
		}
		p.add(placeOf(of), []byte(keyCheckpoint), event, &headers{}, sizeOf(placeOf(of), []byte(keyCheckpoint), event))
	}
	return p
}

// Headers that records have in common are made once, and each record has its own all
// the same, whatever kinds of events take turns.
func TestRecordsHaveTheAttributesOfTheirEvents(t *testing.T) {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	of := s.Snapshot().Inventory()
	x := cloudevent.NewExport(of, 42, time.Unix(1, 0), cloudevent.Schema(of))
	p, shared := newPiece(maxPiece, nil), headers{}
	var want []map[string]string
	add := func(event *cloudevent.Event) {
		attributes, size := map[string]string{}, 0
		for name, value := range event.Attributes {
			attributes[prefix+name] = value.String()
			size += len(name) + len(value.Bytes())
		}
		if len(event.Data) > 0 {
			attributes[contentType.Key] = string(contentType.Value)
		}
		if event.Size() != size {
			t.Errorf("event %s is of size %d, want %d", event.ID(), event.Size(), size)
		}
		want = append(want, attributes)
		p.add(placeOf(of), event.Subject(), event, &shared, sizeOf(placeOf(of), event.Subject(), event))
	}
	for e := range s.Snapshot().All() {
		for i, kind := range "uudurmmudd" {
			switch sequence := int64(5 + i); kind { // from one digit to two
			case 'u':
				add(x.Upserted(sequence, e.Key, e.Row))
			case 'd':
				add(x.Deleted(sequence, e.Key, e.Row.Origin()))
			case 'r':
				add(x.Referred(sequence, e.Key, e.Row))
			case 'm':
				event, err := x.Marker(fmt.Sprint(sequence), cloudevent.Checkpoint, sink.Mark{Generation: 42})
				if err != nil {
					t.Fatal(err)
				}
				add(event)
			}
		}
	}
	for i := range want {
		got := map[string]string{}
		for _, h := range p.records[i].Headers {
			got[h.Key] = string(h.Value)
		}
		if diff := cmp.Diff(want[i], got); diff != "" || len(got) != len(p.records[i].Headers) {
			t.Errorf("record %d: -want +got\n%s", i, diff)
		}
	}
}

func land(t *testing.T, f *flight, p *piece, n int, err error) {
	t.Helper()
	for i := range n {
		if off, err := f.takeOff(p.sizes[i]); !off || err != nil {
			t.Fatalf("record %d: %t, %v", i, off, err)
		}
	}
	for i := range n {
		p.records[i].Offset = int64(100 + i)
		p.landed(&p.records[i], err)
	}
}

func TestPiecesAreUsedAgainOnceWrittenAndSent(t *testing.T) {
	f := newFlight(nil)
	p := full(t, f, 1)
	land(t, f, p, maxPiece, nil)
	if other := f.piece(); other == p {
		t.Fatal("a piece is used again that is still being sent")
	}
	f.release(p)
	if first, last := f.offsets(); first != 100 || last != 100+maxPiece-1 {
		t.Errorf("offsets are %d and %d", first, last)
	}
	again := full(t, f, 22)
	if again != p {
		t.Fatal("a piece is not used again that is sent and written")
	}
	for i := range again.records {
		r := &again.records[i]
		var id []byte
		for _, h := range r.Headers {
			if h.Key == "ce_id" {
				id = h.Value
			}
		}
		if want := fmt.Sprintf("demo/team-a/apps/22/%d", i); string(id) != want || r.Offset != 0 || string(r.Key) != "demo/team-a/apps/_checkpoint" {
			t.Errorf("record %s, ID %s, want %s", r.Key, id, want)
		}
	}
}

func TestPiecesThatMayNotBeWrittenAreNotUsedAgain(t *testing.T) {
	f := newFlight(nil)
	p := full(t, f, 1)
	f.release(p)
	lost := errors.New("lost")
	land(t, f, p, 3, nil)
	land(t, f, p, 1, lost)
	for i := 4; i < maxPiece; i++ {
		p.landed(&kgo.Record{}, lost)
	}
	if f.piece() == p {
		t.Error("a piece is used again whose records may be on their way")
	}
	if _, err := f.takeOff(1); !errors.Is(err, lost) {
		t.Errorf("after a record was lost: %v", err)
	}
}
