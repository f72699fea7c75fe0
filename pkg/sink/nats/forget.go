package nats

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Inventories asks the server which checkpoints there are, and reads them.
func (e *Emitter) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	const doing = "list inventories"
	subjects, err := e.subjects(ctx, checkpointsOf(cluster))
	if err != nil {
		return nil, e.explain(doing, err)
	}
	var refs []inventory.Ref
	for subject := range subjects {
		ref, ok := inventoryOf(subject)
		if !ok {
			return nil, sink.Permanent(fmt.Errorf("%s: %s is not a subject of Kollect's: remove its messages", doing, subject))
		}
		c, err := e.readCheckpoint(ctx, &inventory.Inventory{Ref: ref, Cluster: cluster})
		if err != nil {
			return nil, err
		}
		if c.mark.Generation > 0 && !c.mark.Forgotten {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// subjects returns which subjects that a filter selects have messages.
func (e *Emitter) subjects(ctx context.Context, filter string) (map[string]uint64, error) {
	if _, err := e.facts(ctx); err != nil {
		return nil, err
	}
	ctx, done := e.bounded(ctx)
	defer done()
	stream, err := e.js.Stream(ctx, e.stream)
	if err != nil {
		return nil, cause(ctx, err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, cause(ctx, err)
	}
	return info.State.Subjects, nil
}

// Forget publishes that each row is deleted, as an export of nothing would, and a
// checkpoint that says that the inventory is forgotten. A consumer learns from the
// former what it learns of any row, so that it needs to know of the latter only to
// tell an inventory that is forgotten from one that is empty.
func (e *Emitter) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	if generation <= 0 || at.IsZero() {
		return fmt.Errorf("forget under generation %d: the generation must be above 0 and the time set", generation)
	}
	c, err := e.readCheckpoint(ctx, of)
	if err != nil {
		return err
	}
	if c.mark.Generation >= generation {
		if c.mark.Forgotten { // the checkpoint comes last: nothing is left
			return nil
		}
		return fenced(c.mark)
	}
	delta, err := sink.Removal(ctx, e, of, c.mark, generation, at)
	if err != nil {
		return err
	}
	final := sink.Mark{Generation: generation, Time: at, Forgotten: true}
	err = e.publish(ctx, delta, final)
	e.overlook(placeOf(of)) // it was of what was there before
	return err
}
