package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// role makes a user who may do what the sink needs, and returns it with its
// connection string.
func role(t *testing.T, schema string) (name, dsn string) {
	t.Helper()
	name = strings.ToLower(schema) + "_writer"
	sql(t, schema, "create role "+name+" login password 'the-password'", "grant usage on schema %s to "+name,
		"grant select, insert, update, delete on all tables in schema %s to "+name)
	return name, fmt.Sprintf("postgres://%s:the-password@127.0.0.1:%d/postgres?sslmode=disable", name, server.Port())
}

// A right that is withdrawn in the midst of an export, or before one, is named, and
// the export goes on once it is given back.
func TestRightsThatAreWithdrawn(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	owner := d.open(t)
	defer owner.Close()
	sample := sinktest.NewSample(ref)
	sample.Set("web", "nginx:1.27")
	newChurn(owner, sample).mustExport(t) // which has the columns added
	writer, dsn := role(t, d.spec.Schema)
	store, err := open(t, d.spec, map[string]string{"dsn": dsn})
	if err != nil {
		t.Fatal(err)
	}
	c := newChurn(store, sample)
	c.mustExport(t)
	for i, right := range []string{
		`insert on %s."Rows"`, `update on %s."Rows"`, `delete on %s."Rows"`, `select on %s."Rows_state"`, `update on %s."Rows_state"`, "usage on schema %s",
		"temporary on database postgres",
	} {
		sample.Set("web", fmt.Sprintf("nginx:1.%d", i))
		sample.Set(fmt.Sprint("app-", i), "nginx:1.27")
		if i > 0 {
			sample.Delete(fmt.Sprint("app-", i-1))
		}
		of := "revoke " + right + " from " + writer
		if right == "temporary on database postgres" {
			of = "revoke " + right + " from public"
		}
		c.during = func() { sql(t, d.spec.Schema, of) }
		err := c.export(t)
		if c.during = nil; err == nil { // the export had it when it was needed
			sample.Set("web", "nginx:1.30")
			err = c.export(t)
		}
		mustContain(t, err, "permission denied", "grant the user")
		if !sink.IsPermanent(err) {
			t.Errorf("%s: the error is not permanent", right)
		}
		sql(t, d.spec.Schema, strings.Replace(strings.Replace(of, "revoke", "grant", 1), " from ", " to ", 1))
		c.mustExport(t)
	}
}

// lock holds a lock of another session on an inventory's line, until the returned
// function is called.
func lock(t *testing.T, schema, cluster string) (unlock func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), "begin"); err != nil {
		t.Fatal(err)
	}
	query := fmt.Sprintf(`select 1 from %s."Rows_state" where cluster = $1 for update`, pgx.Identifier{schema}.Sanitize())
	if _, err := conn.Exec(t.Context(), query, cluster); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), "commit"); err != nil {
			t.Error(err)
		}
	}
}

// awaitWaiting waits until so many sessions wait for a lock in the schema.
func awaitWaiting(t *testing.T, schema string, n int) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(30 * time.Second)
	for ask[int](t, schema, `select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%`+schema+`%'`) != n {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%d sessions do not wait for a lock", n)
		}
	}
}

// Who waits for another session's lock holds up nobody else, and goes on.
func TestLockedInventoryDelaysItselfAlone(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	locked, other := newChurn(store, sinktest.NewSample(ref)), newChurn(store, sinktest.NewSampleOf("other", ref))
	for _, c := range []*churn{locked, other} {
		c.sample.Set("web", "nginx:1.27")
		c.mustExport(t)
		c.sample.Set("web", "nginx:1.28")
	}
	unlock := lock(t, d.spec.Schema, "demo")
	done := make(chan error, 1)
	go func() { done <- locked.export(t) }()
	awaitWaiting(t, d.spec.Schema, 1)
	for range 2 * maxConnections {
		other.sample.Set("api", fmt.Sprint("nginx:", other.spent))
		other.mustExport(t)
	}
	unlock()
	if err := <-done; err != nil {
		t.Errorf("export after the lock: %v", err)
	}
}

// Who gives up while the server is slow leaves nothing there that goes on.
func TestCancelledWhileItWaits(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.Set("web", "nginx:1.27")
	c.mustExport(t)
	held := c.sample.Snapshot().Hash()
	c.sample.Set("web", "nginx:1.28")
	unlock := lock(t, d.spec.Schema, "demo")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.exportIn(ctx) }()
	awaitWaiting(t, d.spec.Schema, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || sink.IsPermanent(err) {
		t.Errorf("error is %v", err)
	}
	awaitWaiting(t, d.spec.Schema, 0)
	unlock()
	if err := c.resume(t); err != nil || c.base.Hash() != held {
		t.Errorf("the rows are not those from before: %v", err)
	}
	c.mustExport(t)
}

// A server that does not come to an end is given up, and tried again.
func TestSlowServer(t *testing.T) {
	for name, c := range map[string]struct {
		begin, end func(t *testing.T, schema string)
		want       string
	}{
		"a statement": {
			func(t *testing.T, schema string) {
				sql(t, schema, `create function %s.slow() returns trigger language plpgsql as 'begin perform pg_sleep(600); return new; end'`,
					`create trigger slow before insert or update on %s."Rows" for each row execute function %s.slow()`)
			},
			func(t *testing.T, schema string) { sql(t, schema, `drop trigger slow on %s."Rows"`) },
			"statement timeout",
		},
		"a lock": {func(t *testing.T, schema string) { t.Cleanup(lock(t, schema, "demo")) }, func(*testing.T, string) {}, "lock"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDestination(server.DSN("postgres"), "hard")
			store := d.open(t)
			defer store.Close()
			sample := sinktest.NewSample(ref)
			sample.Set("web", "nginx:1.27")
			newChurn(store, sample).mustExport(t)
			d.spec.StatementTimeout = &metav1.Duration{Duration: 300 * time.Millisecond}
			hasty := newChurn(d.open(t), sample)
			defer hasty.store.Close()
			if err := hasty.resume(t); err != nil {
				t.Fatal(err)
			}
			sample.Set("web", "nginx:1.28")
			t.Run("while it is", func(t *testing.T) {
				c.begin(t, d.spec.Schema)
				err := hasty.export(t)
				mustContain(t, err, c.want, "tried again")
				if sink.IsPermanent(err) {
					t.Errorf("the error is permanent: %v", err)
				}
			})
			c.end(t, d.spec.Schema)
			newChurn(store, sample).mustExport(t)
		})
	}
}

// lazily yields n rows that nobody keeps.
func lazily(n int, each func(i int)) func(func(inventory.Update) bool) {
	resource, target := &inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}, &inventory.TargetRef{Name: "all"}
	return func(yield func(inventory.Update) bool) {
		for i := range n {
			each(i)
			var key inventory.Key
			binary.BigEndian.PutUint64(key[:], uint64(i))
			row := inventory.NewRow(inventory.RowContent{
				Resource: resource, Target: target, Namespace: "all", Name: fmt.Sprint("app-", i), UID: fmt.Sprint("uid-", i),
				Attributes: fmt.Appendf(nil, `{"image":"nginx:%d","note":%q}`, i, strings.Repeat("x", 500)),
			})
			if !yield(inventory.Update{Key: key, Row: row}) {
				return
			}
		}
	}
}

// What is written and read back goes through memory, and does not stay there.
func TestMemoryIsBounded(t *testing.T) {
	const rows, bound = 16_000, 3 << 20 // all of them take 12 MB
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	of := sinktest.NewSample(ref).Snapshot().Inventory()
	var heap heaps
	each := func(i int) {
		if i%(rows/4) == rows/8 {
			heap.measure()
		}
	}
	delta := sink.Delta{Inventory: of, Generation: 1, Time: when, Hash: "many", Schema: store.Schema(of), Rows: rows, Updates: lazily(rows, each)}
	var err error
	if delta.Base, err = store.Apply(t.Context(), delta); err != nil { // straight to the table
		t.Fatal(err)
	}
	heap.mustBeWithin(t, bound)
	delta.Generation, heap = 2, nil
	if _, err = store.Apply(t.Context(), delta); err != nil { // by way of another
		t.Fatal(err)
	}
	heap.mustBeWithin(t, bound)
	n := 0
	heap = nil
	if err := store.Held(t.Context(), of, func(inventory.Held) error {
		each(n)
		n++
		return nil
	}); err != nil || n != rows {
		t.Fatalf("%d rows are held: %v", n, err)
	}
	heap.mustBeWithin(t, bound)
}
