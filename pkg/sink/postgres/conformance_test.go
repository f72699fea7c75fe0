package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/postgres"
)

// server and bouncer are those of all tests, each of which has a schema of its
// own.
var (
	server  *service.Server
	bouncer *service.Bouncer
	reader  *pgxpool.Pool
	schemas atomic.Int64
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx := context.Background()
		var err error
		if server, err = service.Start(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer server.Stop()
		if bouncer, err = service.StartBouncer(ctx, server); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer bouncer.Stop()
		if reader, err = pgxpool.New(ctx, server.DSN("postgres")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer reader.Close()
		return m.Run()
	}())
}

// newSchema returns the name of a schema that nobody uses.
func newSchema() string { return fmt.Sprintf("Test_%d", schemas.Add(1)) }

// destination is a schema of its own.
type destination struct {
	faults
	dsn  string
	spec kollectv1alpha1.PostgresSink
}

func newDestination(dsn, deletion string) *destination {
	return &destination{
		faults: faults{left: -1}, dsn: dsn,
		spec: kollectv1alpha1.PostgresSink{Schema: newSchema(), Table: "Rows", Deletion: deletion},
	}
}

func (d *destination) Open(t *testing.T) sink.RelationalStore {
	t.Helper()
	return d.open(t)
}

func (d *destination) open(t *testing.T) *Store {
	t.Helper()
	store, err := Open(t.Context(), d.spec, map[string][]byte{"dsn": []byte(d.dsn)}, Options{
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &faultyConn{Conn: conn, faults: &d.faults}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func (d *destination) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	schema := pgx.Identifier{d.spec.Schema}.Sanitize()
	rows, err := reader.Query(ctx, fmt.Sprintf(`select s.generation, s.row_count, r.row_key, r.attributes::text
from %s."Rows_state" s left join %[1]s.inventory_current r using (cluster, inventory_namespace, inventory_name)
where s.cluster = $1 and s.inventory_namespace = $2 and s.inventory_name = $3`, schema), of.Cluster, of.Namespace, of.Name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var content *sinktest.Content
	count := 0
	for rows.Next() {
		if content == nil {
			content = &sinktest.Content{Rows: map[string]string{}}
		}
		var key, attributes *string
		if err := rows.Scan(&content.Generation, &count, &key, &attributes); err != nil {
			return nil, err
		}
		if key != nil {
			content.Rows[*key] = *attributes
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if content != nil && len(content.Rows) != count {
		return nil, fmt.Errorf("%d rows, %d in the state", len(content.Rows), count)
	}
	return content, nil
}

func TestConformance(t *testing.T) {
	for name, make := range map[string]func() sinktest.Relational{
		"hard":      func() sinktest.Relational { return newDestination(server.DSN("postgres"), "hard") },
		"soft":      func() sinktest.Relational { return noFaults{newDestination(server.DSN("postgres"), "soft")} },
		"pgbouncer": func() sinktest.Relational { return noFaults{newDestination(bouncer.DSN("postgres"), "hard")} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sinktest.TestRelational(t, func(*testing.T) sinktest.Relational { return make() })
		})
	}
}

// noFaults is a destination that is not made to fail: it would take the same steps
// as another, or, behind PgBouncer, go on when its client is gone.
type noFaults struct{ d *destination }

func (n noFaults) Open(t *testing.T) sink.RelationalStore { return n.d.Open(t) }

func (n noFaults) Read(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	return n.d.Read(ctx, of)
}

var errInjected = errors.New("injected: connection reset")

// faults fails the steps of connections on cue: each write, and, of unanswered
// ones, each read.
type faults struct {
	mu      sync.Mutex // guards what follows
	left    int        // steps before the first that fails; negative: none fails
	how     sinktest.Interruption
	failed  bool
	written int64
}

func (f *faults) Interrupt(n int, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.how, f.failed = n, how, false
}

func (f *faults) Interrupted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *faults) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// step reports whether a step fails, and how.
func (f *faults) step(read bool, n int) (fails bool, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(n)
	if f.left < 0 || f.failed || read != (f.how == sinktest.Unanswered) {
		return false, 0
	}
	if f.left > 0 {
		f.left--
		return false, 0
	}
	f.failed = true
	return true, f.how
}

type faultyConn struct {
	net.Conn
	faults *faults
}

func (c *faultyConn) Write(p []byte) (int, error) {
	fails, how := c.faults.step(false, len(p))
	if !fails {
		return c.Conn.Write(p)
	}
	n := 0
	if how == sinktest.Cut {
		n, _ = c.Conn.Write(p[:len(p)/2])
	}
	c.Conn.Close()
	return n, errInjected
}

// Read takes an answer, half of which is lost.
func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		return n, err
	}
	if fails, _ := c.faults.step(true, 0); fails {
		c.Conn.Close()
		return n / 2, errInjected
	}
	return n, nil
}

func mustContain(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
}
