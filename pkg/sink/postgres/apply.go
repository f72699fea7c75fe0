package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Apply makes all updates in one transaction, at a cost of O(updates).
func (s *Store) Apply(ctx context.Context, delta sink.Delta) (sink.Mark, error) {
	mark := delta.Mark()
	mark.Time = moment(mark.Time)
	// What another process has added may have values of this inventory from before.
	l, err := s.promote(ctx, delta.Inventory, delta.Base.Schema != delta.Schema)
	if err != nil {
		return sink.Mark{}, fmt.Errorf("write %s: %w", s.tables.rowsName, err)
	}
	w := s.tables.writing(delta.Inventory.Columns, l)
	if err := s.transact(ctx, func(t tx) error {
		if err := s.claim(ctx, t, delta, mark); err != nil {
			return err
		}
		if delta.First() {
			clear, err := s.clear(ctx, t, delta)
			if err != nil {
				return err
			}
			if clear {
				return s.fill(ctx, t, w, delta)
			}
		}
		return s.change(ctx, t, w, delta)
	}); err != nil {
		return sink.Mark{}, fmt.Errorf("write %s: %w", s.tables.rowsName, err)
	}
	return mark, nil
}

// claim moves the inventory's line in the state table from the delta's base to
// its generation, and keeps others from doing so until the transaction ends.
func (s *Store) claim(ctx context.Context, t tx, delta sink.Delta, mark sink.Mark) error {
	values := append(place(delta.Inventory),
		strconv.FormatInt(delta.Base.Generation, 10), strconv.FormatInt(mark.Generation, 10),
		mark.Hash, mark.Schema, strconv.FormatInt(mark.Rows, 10), timestamp(mark.Time))
	statement := s.tables.claimFirst
	if delta.Base.Generation != 0 {
		statement, values = s.tables.claim, append(values, delta.Base.Schema)
	}
	n, err := t.exec(ctx, statement, values...)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("generation %d on top of %d: %w", delta.Generation, delta.Base.Generation, sink.ErrFenced)
	}
	return nil
}

// clear takes away rows that nobody knows of, since the state table does not. It
// reports whether none is left.
func (s *Store) clear(ctx context.Context, t tx, delta sink.Delta) (bool, error) {
	n, err := t.exec(ctx, s.tables.clear, s.deleting(exportOf(delta))...)
	if err != nil || !s.soft {
		return err == nil, err
	}
	if n > 0 {
		return false, nil
	}
	rows, err := t.query(ctx, s.tables.selectAny, place(delta.Inventory)...)
	return len(rows) == 0, err
}

// fill copies the first rows of an inventory straight to their table.
func (s *Store) fill(ctx context.Context, t tx, w *writing, delta sink.Delta) error {
	var common []byte
	for _, value := range exportOf(delta) {
		common = append(appendText(common, value), '\t')
	}
	copied, upserts, err := copyTo(ctx, t, w.copyRows, newLines(common, w.promoted, delta.Updates))
	if err == nil && copied != upserts {
		return errLost(upserts, copied)
	}
	return err
}

// change copies what has changed to a temporary table, and from there changes
// the rows.
func (s *Store) change(ctx context.Context, t tx, w *writing, delta sink.Delta) error {
	if _, err := t.conn.Exec(ctx, w.createDelta).ReadAll(); err != nil {
		return err
	}
	_, upserts, err := copyTo(ctx, t, copyDelta, newLines(nil, w.promoted, delta.Updates))
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, w.upsert, exportOf(delta)...)
	if err != nil {
		return err
	}
	if n != upserts {
		return errLost(upserts, n)
	}
	_, err = t.exec(ctx, s.tables.remove, s.deleting(exportOf(delta))...)
	return err
}

// exportOf returns the values of placeColumns and exportColumns.
func exportOf(delta sink.Delta) []string {
	return append(place(delta.Inventory), strconv.FormatInt(delta.Generation, 10), timestamp(delta.Time))
}

// deleting returns which of the values statements that delete rows take.
func (s *Store) deleting(export []string) []string {
	if s.soft {
		return export
	}
	return export[:len(placeColumns)]
}

// errLost says that the table took fewer rows than it was given.
func errLost(want, got int64) error {
	return sink.Permanent(fmt.Errorf("the table took %d of %d rows: remove the trigger or the rule that keeps it from taking them", got, want))
}

// copyTo streams the lines. It returns how many the server took, and how many of
// them are rows.
func copyTo(ctx context.Context, t tx, statement string, lines *lines) (copied, upserts int64, err error) {
	tag, err := t.conn.CopyFrom(ctx, lines, statement)
	return tag.RowsAffected(), lines.end(), err
}

// appendLine appends the row's values of rowColumns and of promoted columns, for
// COPY.
func appendLine(buf []byte, u inventory.Update, promoted []inventory.Column) []byte {
	row := u.Row
	buf, _ = u.Key.AppendText(buf)
	if row == nil {
		for range len(rowColumns) - 1 + len(promoted) {
			buf = append(buf, "\t\\N"...)
		}
		return append(buf, '\n')
	}
	hash := row.Hash()
	buf = append(buf, `	\\x`...)
	buf = hex.AppendEncode(buf, hash[:])
	for _, value := range [...]string{
		row.Target().Namespace, row.Target().Name,
		row.Resource().Group, row.Resource().Version, row.Resource().Resource, row.Resource().Kind,
		row.Namespace(), row.Name(), row.UID(),
	} {
		buf = appendText(append(buf, '\t'), value)
	}
	if created := row.Created(); created.IsZero() {
		buf = append(buf, "\t\\N"...)
	} else {
		buf = created.AppendFormat(append(buf, '\t'), "2006-01-02T15:04:05Z")
	}
	buf = appendText(append(buf, '\t'), cleanJSON(row.Labels()))
	buf = appendText(append(buf, '\t'), cleanJSON(row.Attributes()))
	return append(appendPromoted(buf, promoted, row.Attributes()), '\n')
}
