package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Inventories reads both tables: rows that the state table does not know of, as
// when somebody has deleted its line, are held too.
func (s *Store) Inventories(ctx context.Context, cluster string) ([]inventory.Ref, error) {
	var refs []inventory.Ref
	err := s.transact(ctx, func(t tx) error {
		rows, err := t.query(ctx, s.tables.selectInventories, clean(cluster))
		for _, row := range rows {
			refs = append(refs, inventory.Ref{Namespace: string(row[0]), Name: string(row[1])})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.tables.stateName, err)
	}
	return refs, nil
}

// Forget deletes the inventory's rows, or marks them as deleted, in one
// transaction with its line in the state table.
func (s *Store) Forget(ctx context.Context, of *inventory.Inventory, generation int64, at time.Time) error {
	export := append(place(of), strconv.FormatInt(generation, 10), timestamp(at))
	err := s.transact(ctx, func(t tx) error {
		n, err := t.exec(ctx, s.tables.forget, export...)
		if err != nil {
			return err
		}
		if n == 0 {
			rows, err := t.query(ctx, s.tables.selectMark, place(of)...)
			if err != nil {
				return err
			}
			if len(rows) == 0 || len(rows[0][1]) > 0 {
				return fmt.Errorf("generation %d: %w", generation, sink.ErrFenced)
			}
		}
		_, err = t.exec(ctx, s.tables.clear, s.deleting(export)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("remove rows from %s: %w", s.tables.rowsName, err)
	}
	return nil
}
