package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// checkpoint is what the topic holds of an inventory. The zero checkpoint is
// nothing.
type checkpoint struct {
	mark   sink.Mark
	offset int64
}

// partial reports whether what is held is on its way from a content to another.
func (c checkpoint) partial() bool {
	return c.mark.Generation > 0 && c.mark.Hash == "" && !c.mark.Forgotten
}

// spot is where an inventory's records may be.
type spot struct {
	place     place
	partition int32
}

// sighting is what was seen at a spot.
type sighting struct {
	topic      [16]byte // its ID
	partition  int32
	there      bool // records of the inventory are
	checkpoint checkpoint
	found      bool  // the record of the checkpoint, or of its removal
	until      int64 // the offset before which was looked
}

// look finds the inventory's newest checkpoint, and the partition of its records.
func (e *Emitter) look(ctx context.Context, of *inventory.Inventory) (sighting, error) {
	const doing = "read the checkpoint"
	known, err := e.facts(ctx)
	if err != nil {
		return sighting{}, err
	}
	p := placeOf(of)
	var first sighting
	for i, partition := range p.partitions(int32(len(known.leaders))) {
		s, err := e.lookAt(ctx, of, known, spot{p, partition})
		if err != nil {
			return sighting{}, e.explain(doing, err)
		}
		if s.there {
			return s, nil
		}
		if i == 0 {
			first = s
		}
	}
	return first, nil
}

// firstWindow is how many offsets are looked at first, from the end of a partition;
// then windowGrowth times as many, and so on.
const (
	firstWindow  = 64
	windowGrowth = 8
)

func (e *Emitter) lookAt(ctx context.Context, of *inventory.Inventory, known *facts, at spot) (sighting, error) {
	x, err := e.extent(ctx, at.partition)
	if err != nil {
		return sighting{}, err
	}
	s := sighting{topic: known.id, partition: at.partition, until: x.stable}
	take := func(last string, r *kgo.Record) error { return s.take(of, last, r) }
	if err := e.readTail(ctx, at.place, at.partition, x, take); err != nil {
		return sighting{}, err
	}
	e.mu.Lock()
	before := e.sightings[at]
	e.mu.Unlock()
	lowest := x.start
	if before.topic == known.id && x.start <= before.until && before.until <= x.stable {
		lowest = before.until
	} else {
		before = sighting{}
	}
	for to, size := x.stable, int64(firstWindow); to > lowest && !s.found; size *= windowGrowth {
		from := max(lowest, to-size)
		err := e.scan(ctx, at.partition, from, to, func(r *kgo.Record) error {
			if last, ours := at.place.last(r.Key); ours {
				return take(last, r)
			}
			return nil
		})
		if err != nil {
			return sighting{}, err
		}
		to = from
	}
	if !s.found {
		s.found, s.checkpoint, s.there = before.found, before.checkpoint, s.there || before.there
	}
	e.mu.Lock()
	e.sightings[at] = s
	e.mu.Unlock()
	return s, nil
}

// take notes a record of the inventory.
func (s *sighting) take(of *inventory.Inventory, last string, r *kgo.Record) error {
	s.there = true
	if last != keyCheckpoint {
		return nil
	}
	s.found, s.checkpoint = true, checkpoint{}
	if len(r.Value) == 0 { // somebody removed it
		return nil
	}
	mark, err := cloudevent.ParseMark(unframed(r.Value), of)
	if err != nil {
		return sink.Permanent(fmt.Errorf("record %s at offset %d of partition %d is not one that Kollect wrote: %w: write one with this key and no value to export anew", r.Key, r.Offset, r.Partition, err))
	}
	s.checkpoint = checkpoint{mark, r.Offset}
	return nil
}
