package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
)

// Held reads the partition of the inventory's records. What is published next must
// follow the checkpoint that was read.
func (e *Emitter) Held(ctx context.Context, of *inventory.Inventory, yield func(inventory.Held) error) error {
	const doing = "read back rows"
	p := placeOf(of)
	e.overlook(p)
	s, err := e.look(ctx, of)
	if err != nil {
		return err
	}
	rows := map[inventory.Key]inventory.Held{}
	newest := int64(noCheckpoint)
	if s.there {
		x, err := e.extent(ctx, s.partition)
		if err != nil {
			return e.explain(doing, err)
		}
		err = e.read(ctx, p, s.partition, x.start, x, func(last string, r *kgo.Record) error {
			switch last {
			case keyCheckpoint:
				newest = r.Offset
				return nil
			case keyBegin, keyEnd:
				return nil
			}
			return takeRow(rows, last, r)
		})
		if err != nil {
			return e.explain(doing, err)
		}
	}
	e.mu.Lock()
	e.views[p] = newest
	e.mu.Unlock()
	for _, held := range rows {
		if err := yield(held); err != nil {
			return err
		}
	}
	return nil
}

func takeRow(rows map[inventory.Key]inventory.Held, last string, r *kgo.Record) error {
	held, there, err := cloudevent.ParseRow(func(name string) string {
		for _, h := range r.Headers {
			if len(h.Key) == len(prefix)+len(name) && h.Key[len(prefix):] == name && h.Key[:len(prefix)] == prefix {
				return string(h.Value)
			}
		}
		return ""
	})
	if err == nil && held.Key.String() != last {
		err = fmt.Errorf("it is of row %s", held.Key)
	}
	if err != nil && len(r.Value) == 0 { // somebody removed the row
		if key, ok := inventory.ParseKey(last); ok {
			delete(rows, key)
			return nil
		}
	}
	if err != nil {
		return sink.Permanent(fmt.Errorf("record %s at offset %d of partition %d is not one that Kollect wrote: %w: write one with this key and no value", r.Key, r.Offset, r.Partition, err))
	}
	if there {
		rows[held.Key] = held
	} else {
		delete(rows, held.Key)
	}
	return nil
}

func (e *Emitter) overlook(p place) {
	e.mu.Lock()
	delete(e.views, p)
	e.mu.Unlock()
}
