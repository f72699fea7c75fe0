package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// Options are the server's part of a store's configuration.
type Options struct {
	// Dial connects to a resolved address, if set: it is where to bound which
	// addresses may be dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// MustExist has Open, and all methods, return sink.ErrAbsent where otherwise they
	// would make what is not there: tables, columns of these, or views.
	MustExist bool
}

// Store keeps rows in a table. It is safe for concurrent use as
// sink.RelationalStore says, and by any number of processes.
type Store struct {
	pool   *pgxpool.Pool
	redact redactor
	tables tables
	soft   bool
	begins string
	// mustExist: nothing is made.
	mustExist bool
	layout    atomic.Pointer[layout] // of tables that are there and fit; nil: look again
}

var _ sink.RelationalStore = (*Store)(nil)

// Open returns the store that spec describes, with tables that fit: it creates
// them if they are not there. secret is the data of the Secret that the sink
// refers to. Its errors name the field and the mend, and hold no secrets.
func Open(ctx context.Context, spec kollectv1alpha1.PostgresSink, secret map[string][]byte, options Options) (*Store, error) {
	s := &Store{soft: spec.Deletion == "soft", begins: begin(spec), mustExist: options.MustExist}
	var err error
	if s.tables, err = newTables(spec); err != nil {
		return nil, sink.Permanent(err)
	}
	if s.soft {
		s.tables.soften()
	}
	if s.pool, s.redact, err = connect(ctx, spec, secret, options); err != nil {
		return nil, err
	}
	if _, err := s.ensure(ctx, nil); err != nil {
		s.pool.Close()
		return nil, s.redact.error(err)
	}
	return s, nil
}

// Close ends the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// schemaVersion identifies the columns and what is in them.
const schemaVersion = "1"

// Schema returns the version of the columns that all inventories have, and the
// promoted attributes.
func (s *Store) Schema(of *inventory.Inventory) string { return schemaOf(of) }

// Mark reads the inventory's line in the state table. If columns for its promoted
// attributes are not there it adds them first, since then the rows that the line
// speaks of may lack their values.
func (s *Store) Mark(ctx context.Context, of *inventory.Inventory) (sink.Mark, error) {
	if _, err := s.promote(ctx, of, false); err != nil {
		return sink.Mark{}, fmt.Errorf("read %s: %w", s.tables.stateName, err)
	}
	var mark sink.Mark
	err := s.transact(ctx, func(t tx) error {
		rows, err := t.query(ctx, s.tables.selectMark, place(of)...)
		if err != nil || len(rows) == 0 {
			return err
		}
		mark, err = parseMark(rows[0])
		return err
	})
	if err != nil {
		return sink.Mark{}, fmt.Errorf("read %s: %w", s.tables.stateName, err)
	}
	return mark, nil
}

// Held streams the keys and hashes of the inventory's rows.
func (s *Store) Held(ctx context.Context, of *inventory.Inventory, yield func(inventory.Held) error) error {
	var stopped error
	err := s.transact(ctx, func(t tx) error {
		rows := t.conn.ExecParams(ctx, s.tables.selectHeld, texts(place(of)), nil, nil, []int16{pgx.BinaryFormatCode})
		origins := origins{}
		for rows.NextRow() {
			h, err := origins.held(rows.Values())
			if err != nil {
				return err
			}
			if stopped = yield(h); stopped != nil {
				return errStopped
			}
		}
		_, err := rows.Close()
		return err
	})
	if stopped != nil {
		return stopped
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", s.tables.rowsName, err)
	}
	return nil
}

// Confirm changes one line of the state table.
func (s *Store) Confirm(ctx context.Context, of *inventory.Inventory, mark sink.Mark, at time.Time) (sink.Mark, error) {
	err := s.transact(ctx, func(t tx) error {
		rows, err := t.query(ctx, s.tables.confirm, append(place(of),
			strconv.FormatInt(mark.Generation, 10), mark.Hash, mark.Schema, timestamp(at))...)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("generation %d is not what is held: %w", mark.Generation, sink.ErrFenced)
		}
		mark, err = parseMark(rows[0])
		return err
	})
	if err != nil {
		return sink.Mark{}, fmt.Errorf("write %s: %w", s.tables.stateName, err)
	}
	return mark, nil
}

// place are the values of the columns that name an inventory.
func place(of *inventory.Inventory) []string {
	return []string{clean(of.Cluster), clean(of.Namespace), clean(of.Name)}
}

// timestamp returns a time as it is sent, in UTC to the microsecond.
func timestamp(t time.Time) string { return moment(t).Format("2006-01-02T15:04:05.999999Z") }

// moment returns a time as it is kept.
func moment(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// parseMark reads what selectMark and confirm return.
func parseMark(row [][]byte) (sink.Mark, error) {
	mark := sink.Mark{Hash: string(row[1]), Schema: string(row[2]), Forgotten: len(row[1]) == 0}
	var micros int64
	for i, into := range map[int]*int64{0: &mark.Generation, 3: &mark.Rows, 4: &micros} {
		n, err := strconv.ParseInt(string(row[i]), 10, 64)
		if err != nil {
			return sink.Mark{}, fmt.Errorf("parse what is held: %w", err)
		}
		*into = n
	}
	mark.Time = time.UnixMicro(micros).UTC()
	return mark, nil
}

// origins has each origin's strings once, however many rows are of it.
type origins map[string]inventory.Origin

// held reads what selectHeld returns.
func (o origins) held(row [][]byte) (inventory.Held, error) {
	key, ok := inventory.ParseKey(string(row[0]))
	if !ok || len(row[1]) != len(inventory.RowHash{}) {
		return inventory.Held{}, sink.Permanent(fmt.Errorf("row_key %.40q or its row_hash is not what Kollect writes: delete the row", row[0]))
	}
	var scratch [256]byte
	name := scratch[:0]
	for _, part := range row[2:] {
		name = append(append(name, part...), 0)
	}
	origin, known := o[string(name)]
	if !known {
		origin = inventory.Origin{
			Target: inventory.TargetRef{Namespace: string(row[2]), Name: string(row[3])},
			Group:  string(row[4]), Kind: string(row[5]),
		}
		o[string(name)] = origin
	}
	return inventory.Held{Key: key, Hash: inventory.RowHash(row[1]), Origin: origin}, nil
}

var errStopped = errors.New("stopped")

// tx is a transaction in progress.
type tx struct{ conn *pgconn.PgConn }

// query returns the rows of a statement, as text.
func (t tx) query(ctx context.Context, statement string, parameters ...string) ([][][]byte, error) {
	result := t.conn.ExecParams(ctx, statement, texts(parameters), nil, nil, nil).Read()
	return result.Rows, result.Err
}

// exec returns how many rows a statement has changed.
func (t tx) exec(ctx context.Context, statement string, parameters ...string) (int64, error) {
	result := t.conn.ExecParams(ctx, statement, texts(parameters), nil, nil, nil).Read()
	return result.CommandTag.RowsAffected(), result.Err
}

func texts(parameters []string) [][]byte {
	values := make([][]byte, len(parameters))
	for i, p := range parameters {
		values[i] = []byte(p)
	}
	return values
}

// begin returns the statements that begin a transaction. They bound how long a
// statement takes, how long it waits for somebody else's transaction, and how long a
// process that was paused holds up others. No statement here gains by being compiled.
func begin(spec kollectv1alpha1.PostgresSink) string {
	statement := statementTimeout
	if spec.StatementTimeout != nil {
		statement = spec.StatementTimeout.Duration
	}
	return fmt.Sprintf(`begin isolation level read committed;
set local statement_timeout = %d;
set local lock_timeout = %d;
set local jit = off;
set local idle_in_transaction_session_timeout = '1min'`, statement.Milliseconds(), min(statement, lockTimeout).Milliseconds())
}

// transact runs do in a transaction on tables that fit. The error has no secrets.
func (s *Store) transact(ctx context.Context, do func(tx) error) error {
	if s.layout.Load() == nil {
		if _, err := s.ensure(ctx, nil); err != nil {
			return s.failure(ctx, err)
		}
	}
	err := s.inTransaction(ctx, do)
	if changed(err) {
		s.layout.Store(nil)
	}
	return s.failure(ctx, err)
}

// promote sees to it that the promoted attributes of the inventory have columns. It
// looks at the table if they are not known to have, or if told to.
func (s *Store) promote(ctx context.Context, of *inventory.Inventory, look bool) (*layout, error) {
	l := s.layout.Load()
	if l != nil && !look && len(l.missing(of.Columns)) == 0 && l.fits(&s.tables, of.Columns) == nil {
		return l, nil
	}
	l, err := s.ensure(ctx, of.Columns)
	return l, s.failure(ctx, err)
}

// failure returns an error without secrets in it.
func (s *Store) failure(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return s.redact.error(err)
}

// begin takes a connection and begins a transaction on it. A connection that the
// server has ended shows only then, and another takes its place.
func (s *Store) begin(ctx context.Context) (*pgxpool.Conn, error) {
	for attempt := 0; ; attempt++ {
		pooled, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		_, err = pooled.Conn().PgConn().Exec(ctx, s.begins).ReadAll()
		if err == nil {
			return pooled, nil
		}
		closed := pooled.Conn().IsClosed()
		pooled.Release()
		if !closed || ctx.Err() != nil || attempt == int(s.pool.Stat().MaxConns()) {
			return nil, err
		}
	}
}

func (s *Store) inTransaction(ctx context.Context, do func(tx) error) error {
	pooled, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer pooled.Release() // which ends a connection in the midst of something
	conn := pooled.Conn().PgConn()
	if err := do(tx{conn}); err != nil {
		if !conn.IsClosed() && !conn.IsBusy() && ctx.Err() == nil {
			_, _ = conn.Exec(ctx, "rollback").ReadAll() // or it is when the connection ends
		}
		return err
	}
	results, err := conn.Exec(ctx, "commit").ReadAll()
	if err != nil {
		return err
	}
	if tag := results[len(results)-1].CommandTag.String(); tag != "COMMIT" {
		return fmt.Errorf("commit: the server answered %s", tag)
	}
	return nil
}
