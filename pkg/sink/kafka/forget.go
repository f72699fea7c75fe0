package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// Inventories reads the whole topic: nothing else tells what is in it.
func (e *Emitter) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	const doing = "list inventories"
	known, err := e.facts(ctx)
	if err != nil {
		return nil, err
	}
	held, unsure := map[inventory.Ref]bool{}, map[inventory.Ref]bool{}
	for partition := range int32(len(known.leaders)) {
		x, err := e.extent(ctx, partition)
		if err != nil {
			return nil, e.explain(doing, err)
		}
		err = e.scan(ctx, partition, x.start, x.stable, func(r *kgo.Record) error {
			ref, last, ok := inventoryOf(cluster, r.Key)
			if ok && last == keyCheckpoint {
				s := sighting{}
				err := s.take(&inventory.Inventory{Ref: ref, Cluster: cluster}, last, r)
				held[ref] = !s.checkpoint.mark.Forgotten
				return err
			}
			if _, seen := held[ref]; ok && !seen {
				held[ref] = true
			}
			return nil
		})
		if err == nil { // whose transactions have ended is seen by looking at each
			err = e.fetch(ctx, partition, x.stable, x.end, false, func(r *kgo.Record) error {
				if ref, _, ok := inventoryOf(cluster, r.Key); ok {
					unsure[ref] = true
				}
				return nil
			})
		}
		if err != nil {
			return nil, e.explain(doing, err)
		}
	}
	for ref := range unsure {
		s, err := e.look(ctx, &inventory.Inventory{Ref: ref, Cluster: cluster})
		if err != nil {
			return nil, err
		}
		held[ref] = s.there && !s.checkpoint.mark.Forgotten
	}
	var refs []inventory.Ref
	for ref, there := range held {
		if there {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// inventoryOf returns the inventory of the cluster that a record is of, and what its
// key ends with.
func inventoryOf(cluster string, key []byte) (ref inventory.Ref, last string, ok bool) {
	rest, ours := strings.CutPrefix(string(key), cloudevent.Segment(cluster)+"/")
	parts := strings.Split(rest, "/")
	if !ours || len(parts) != 3 {
		return ref, "", false
	}
	if parts[0] != clusterSegment {
		if ref.Namespace, ok = cloudevent.Unescape(parts[0]); !ok {
			return ref, "", false
		}
	}
	ref.Name, ok = cloudevent.Unescape(parts[1])
	return ref, parts[2], ok
}

// Forget writes a tombstone of each row, as an export of nothing would, and a
// checkpoint that says that the inventory is forgotten. A consumer learns from the
// former what it learns of any row, so that it needs to know of the latter only to
// tell an inventory that is forgotten from one that is empty.
func (e *Emitter) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	doing := fmt.Sprintf("forget under generation %d", generation)
	if generation <= 0 || at.IsZero() {
		return fmt.Errorf("%s: the generation must be above 0 and the time set", doing)
	}
	s, err := e.look(ctx, of)
	if err != nil {
		return err
	}
	mark := s.checkpoint.mark
	if mark.Generation >= generation {
		if mark.Forgotten { // the checkpoint comes last: nothing is left
			return nil
		}
		return fenced(mark)
	}
	delta, err := sink.Removal(ctx, e, of, mark, generation, at)
	if err != nil {
		return err
	}
	err = e.publish(ctx, delta, sink.Mark{Generation: generation, Time: at, Forgotten: true})
	e.overlook(placeOf(of)) // it was of what was there before
	return e.explain(doing, err)
}
