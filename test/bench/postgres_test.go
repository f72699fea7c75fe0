package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/postgres"
	service "kollect.io/kollect/test/services/postgres"
	"kollect.io/kollect/test/sinkbench"
)

const (
	firstRows = 100_000
	manyRows  = 1_000_000
)

// BenchmarkPostgres measures exports to a PostgreSQL server of its own.
//
// x-copy is the time of a first export of 100,000 rows, divided by the yardstick's: a
// bare COPY of the same bytes into a table like that of the rows, the two in turns.
// x-1m-to-10k is the time of 100 changes of 1,000,000 rows divided by that of 100 of
// 10,000, and x-wal that of what the server writes to its log. p99-ms is how long
// after a change of the inventory, 1,000 a second, another connection sees it.
func BenchmarkPostgres(b *testing.B) {
	server, err := service.Start(b.Context())
	must(b, err)
	b.Cleanup(func() { must(b, server.Stop()) })
	p := &postgresBench{server: server}
	p.reader, err = pgx.Connect(b.Context(), server.DSN("postgres"))
	must(b, err)
	b.Cleanup(func() { p.reader.Close(context.WithoutCancel(b.Context())) })
	for b.Loop() {
		p.first(b)
		p.freshness(b)
		p.changes(b)
	}
	b.ReportMetric(0, "ns/op")
}

type postgresBench struct {
	server *service.Server
	reader *pgx.Conn
}

// open returns a store with a schema of its own.
func (p *postgresBench) open(b *testing.B, schema string) *postgres.Store {
	b.Helper()
	store, err := postgres.Open(b.Context(), kollectv1alpha1.PostgresSink{Schema: schema},
		map[string][]byte{"dsn": []byte(p.server.DSN("postgres"))}, postgres.Options{})
	must(b, err)
	return store
}

func (p *postgresBench) sql(b *testing.B, statement string) {
	b.Helper()
	_, err := p.reader.Exec(b.Context(), statement)
	must(b, err)
}

// close ends the store and drops its tables.
func (p *postgresBench) close(b *testing.B, store *postgres.Store, schema string) {
	b.Helper()
	must(b, store.Close())
	p.sql(b, "drop schema "+schema+" cascade")
}

func (p *postgresBench) first(b *testing.B) {
	const turns = 7
	var ours, bare []time.Duration
	for range turns {
		store := p.open(b, "first")
		ours = append(ours, sinkbench.New(store, store.Apply, "bench", firstRows).Export(b))
		p.sql(b, "create table first.bare (like first.kollect_rows including all)")
		var rows bytes.Buffer
		_, err := p.reader.PgConn().CopyTo(b.Context(), &rows, "copy first.kollect_rows to stdout")
		must(b, err)
		began := time.Now()
		tag, err := p.reader.PgConn().CopyFrom(b.Context(), &rows, "copy first.bare from stdin")
		bare = append(bare, time.Since(began))
		if err != nil || tag.RowsAffected() != firstRows {
			b.Fatalf("%d rows are copied: %v", tag.RowsAffected(), err)
		}
		p.close(b, store, "first")
	}
	took := sinkbench.Median(ours)
	b.ReportMetric(float64(took)/float64(sinkbench.Median(bare)), "x-copy")
	b.ReportMetric(firstRows/took.Seconds(), "rows/s")
}

// changes has both inventories in one table, as clusters that share it do.
func (p *postgresBench) changes(b *testing.B) {
	store := p.open(b, "changes")
	few := sinkbench.New(store, store.Apply, "few", fewRows)
	many := sinkbench.New(store, store.Apply, "many", manyRows)
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", fewRows, few.Export(b))
	fmt.Fprintf(os.Stderr, "%d rows: %s\n", manyRows, many.Export(b))
	took := sinkbench.Measure(b, few, many)
	b.ReportMetric(float64(took[1])/float64(took[0]), "x-1m-to-10k")
	b.ReportMetric(float64(took[1])/1e6, "change-ms")
	log := p.log(b, few, many)
	b.ReportMetric(log[1]/log[0], "x-wal")
	b.ReportMetric(log[1]/sinkbench.Changes, "walB/change")
	p.close(b, store, "changes")
}

// log returns how many bytes the server writes to its log for 100 changes of each
// place. All of them follow a checkpoint, after which the first change of each page
// is logged with the whole page: in a small table most pages have had theirs.
func (p *postgresBench) log(b *testing.B, places ...*sinkbench.Place) []float64 {
	b.Helper()
	const turns = 5
	bytes := make([]float64, len(places))
	for range turns {
		for i, place := range places {
			p.sql(b, "checkpoint")
			place.Change(sinkbench.Changes)
			before := p.written(b)
			place.Export(b)
			bytes[i] += (p.written(b) - before) / turns
		}
	}
	return bytes
}

// written returns how many bytes the server has written to its log.
func (p *postgresBench) written(b *testing.B) (bytes float64) {
	b.Helper()
	must(b, p.reader.QueryRow(b.Context(), "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8").Scan(&bytes))
	return bytes
}

func (p *postgresBench) freshness(b *testing.B) {
	f := sinkbench.NewFreshness()
	store := &seen{Store: p.open(b, "fresh"), reader: p.reader, freshness: f}
	place := sinkbench.New(store, store.Apply, "bench", firstRows)
	b.ReportMetric(float64(f.Run(b, place, export.FromRelationalStore(store)))/1e6, "p99-ms")
	p.close(b, store.Store, "fresh")
}

// seen is a store of which somebody else reads what was written.
type seen struct {
	*postgres.Store
	reader    *pgx.Conn
	freshness *sinkbench.Freshness
}

func (s *seen) Apply(ctx context.Context, delta sink.Delta) (sink.Mark, error) {
	mark, err := s.Store.Apply(ctx, delta)
	if err != nil || delta.Base.Generation == 0 {
		return mark, err
	}
	var keys []string
	for u := range delta.Updates {
		keys = append(keys, u.Key.String())
	}
	rows, err := s.reader.Query(ctx, `select found.attributes from unnest($1::text[]) as wanted(row_key) cross join lateral (
			select r.attributes::text from fresh.kollect_rows r where (r.cluster, r.inventory_namespace, r.inventory_name) = ('bench', 'bench', 'apps')
			and r.row_key = wanted.row_key limit 1) found`, keys) // each by the index: there are no statistics yet
	if err != nil {
		return mark, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	at := time.Now()
	for _, attributes := range all {
		s.freshness.See(attributes, at)
	}
	return mark, err
}
