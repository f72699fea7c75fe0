package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/postgres"
)

var ref = inventory.Ref{Namespace: "team-a", Name: "apps"}

var when = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

// first returns the delta of an inventory's first export.
func first(s *inventory.Snapshot) sink.Delta {
	return sink.Delta{
		Inventory: s.Inventory(), Generation: 1, Time: when, Hash: s.Hash().String(), Schema: schemaOf(s.Inventory()), Rows: int64(s.Len()),
		Updates: inventory.NewBase(nil).Diff(s, nil),
	}
}

// sql runs statements as the administrator, with %s for the schema.
func sql(t *testing.T, schema string, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		statement = strings.ReplaceAll(statement, "%s", pgx.Identifier{schema}.Sanitize())
		if _, err := reader.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func ask[T any](t *testing.T, schema, query string) T {
	t.Helper()
	rows, err := reader.Query(t.Context(), strings.ReplaceAll(query, "%s", pgx.Identifier{schema}.Sanitize()))
	if err != nil {
		t.Fatal(err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func open(t *testing.T, spec kollectv1alpha1.PostgresSink, secret map[string]string) (*Store, error) {
	t.Helper()
	data := map[string][]byte{}
	for key, value := range secret {
		data[key] = []byte(value)
	}
	store, err := Open(t.Context(), spec, data, Options{})
	if err == nil {
		t.Cleanup(func() { _ = store.Close() })
	}
	return store, err
}

func TestNothingIsMadeThatMustExist(t *testing.T) {
	t.Parallel()
	d := newDestination(server.DSN("postgres"), "hard")
	look := func() (*Store, error) {
		return Open(t.Context(), d.spec, map[string][]byte{"dsn": []byte(server.DSN("postgres"))}, Options{MustExist: true})
	}
	if _, err := look(); !errors.Is(err, sink.ErrAbsent) {
		t.Fatalf("error is %v", err)
	}
	if n := ask[int64](t, d.spec.Schema, "select count(*) from pg_namespace where nspname = '"+d.spec.Schema+"'"); n != 0 {
		t.Fatal("the schema is there")
	}
	d.open(t)
	store, err := look()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rows := sinktest.NewSample(ref)
	rows.Fill(1)
	if mark, err := store.Mark(t.Context(), rows.Snapshot().Inventory()); err != nil || mark.Generation != 0 {
		t.Errorf("mark is %+v: %v", mark, err)
	}
	if n := ask[int64](t, d.spec.Schema, "select count(*) from information_schema.columns where table_schema = '"+d.spec.Schema+"' and starts_with(column_name, 'attr_')"); n != 0 {
		t.Errorf("%d columns were added", n)
	}
}

func TestColumns(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	s := sinktest.NewSample(ref)
	s.SetAttributes("web", `{"image":"nginx","replicas":3}`)
	if _, err := store.Apply(t.Context(), first(s.Snapshot())); err != nil {
		t.Fatal(err)
	}
	got := ask[string](t, d.spec.Schema, `select concat_ws('|', cluster, inventory_namespace, inventory_name, length(row_key), length(row_hash), generation,
	exported_at at time zone 'utc', target_namespace, target_name, api_group, api_version, resource, kind, resource_namespace, resource_name, length(uid),
	created_at at time zone 'utc', labels, attributes->>'image', (attributes->>'replicas')::int + 1, confirmed_at at time zone 'utc') from %s.inventory_current`)
	want := `demo|team-a|apps|26|16|1|2026-11-21 22:00:00|team-a|web|apps|v1|deployments|Deployment|team-a|web|36|` +
		`2026-11-02 10:03:00|{"app": "web", "tier": "web"}|nginx|4|2026-11-21 22:00:00`
	if got != want {
		t.Errorf("the row is\n%s, want\n%s", got, want)
	}
}

func TestStaleInventoriesShow(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	s := sinktest.NewSample(ref)
	delta := first(s.Snapshot())
	delta.Time = time.Now().Add(-time.Hour)
	mark, err := store.Apply(t.Context(), delta)
	if err != nil {
		t.Fatal(err)
	}
	count := `select count(*) from %s.inventory_stale where age > interval '59 minutes'`
	if n := ask[int](t, d.spec.Schema, count); n != 1 {
		t.Errorf("%d are stale, want 1", n)
	}
	if _, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n := ask[int](t, d.spec.Schema, `select count(*) from %s.inventory_stale`); n != 0 {
		t.Errorf("%d are stale, want none", n)
	}
	d.spec.StaleAfter = &metav1.Duration{Duration: time.Nanosecond}
	d.open(t).Close()
	if n := ask[int](t, d.spec.Schema, `select count(*) from %s.inventory_stale`); n != 1 {
		t.Errorf("%d are stale at once, want 1", n)
	}
}

func TestSoftDeletion(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "soft")
	store := d.open(t)
	defer store.Close()
	s := sinktest.NewSample(ref)
	s.Set("web", "nginx:1.27")
	s.Set("api", "nginx:1.27")
	delta := first(s.Snapshot())
	mark, err := store.Apply(t.Context(), delta)
	if err != nil {
		t.Fatal(err)
	}
	base := inventory.BaseOf(s.Snapshot())
	s.Delete("api")
	delta.Base, delta.Generation, delta.Time, delta.Updates = mark, 2, when.Add(time.Minute), base.Diff(s.Snapshot(), nil)
	if _, err := store.Apply(t.Context(), delta); err != nil {
		t.Fatal(err)
	}
	got := ask[string](t, d.spec.Schema, `select string_agg(concat_ws(' ', resource_name, generation, deleted_at at time zone 'utc'), ', ' order by resource_name) from %s."Rows"`)
	if want := "api 2 2026-11-21 22:01:00, web 1"; got != want {
		t.Errorf("rows are %s, want %s", got, want)
	}
}

// Rows of an inventory that has no line in the state table are nobody's.
func TestRowsWithoutStateGo(t *testing.T) {
	for deletion, left := range map[string]int{"hard": 2, "soft": 3} {
		d := newDestination(server.DSN("postgres"), deletion)
		store := d.open(t)
		defer store.Close()
		s, other := sinktest.NewSample(ref), sinktest.NewSampleOf("other", ref)
		other.Set("web", "nginx:1.27")
		s.Set("web", "nginx:1.27")
		s.Set("old", "nginx:1.27")
		for _, sample := range []*sinktest.Sample{s, other} {
			if _, err := store.Apply(t.Context(), first(sample.Snapshot())); err != nil {
				t.Fatal(err)
			}
		}
		sql(t, d.spec.Schema, `delete from %s."Rows_state" where cluster = 'demo'`)
		s.Delete("old")
		if _, err := store.Apply(t.Context(), first(s.Snapshot())); err != nil {
			t.Fatal(err)
		}
		if n := ask[int](t, d.spec.Schema, `select count(*) from %s.inventory_current`); n != 2 {
			t.Errorf("%s: %d rows are current, want 2", deletion, n)
		}
		if n := ask[int](t, d.spec.Schema, `select count(*) from %s."Rows"`); n != left {
			t.Errorf("%s: the table has %d rows, want %d", deletion, n, left)
		}
	}
}

func TestNULBecomesAReplacement(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	s := sinktest.NewSample(ref)
	s.SetAttributes("web", `{"image":"a\u0000b\\u0000"}`)
	if _, err := store.Apply(t.Context(), first(s.Snapshot())); err != nil {
		t.Fatal(err)
	}
	if got, want := ask[string](t, d.spec.Schema, `select attributes->>'image' from %s."Rows"`), "a\ufffdb\\u0000"; got != want {
		t.Errorf("image is %q, want %q", got, want)
	}
}

func TestTablesThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct{ change, want string }{
		"another type":     {`alter table %s."Rows" alter column uid type varchar(36)`, "column uid has the type character varying(36): change it to text"},
		"no column":        {`alter table %s."Rows" drop column labels cascade`, "no column labels: add it with the type jsonb"},
		"not null":         {`alter table %s."Rows" alter column deleted_at set not null`, "column deleted_at is not null"},
		"one too many":     {`alter table %s."Rows" add column owner text not null`, "column owner is not null and has no default"},
		"no key":           {`alter table %s."Rows" drop constraint "Rows_pkey"`, "no unique key over the columns cluster, inventory_namespace, inventory_name, row_key"},
		"state":            {`alter table %s."Rows_state" alter column generation type integer`, `_state does not fit: column generation has the type integer`},
		"a view":           {`drop table %s."Rows" cascade; create view %s."Rows" as select 1 as uid`, "not a table"},
		"a column of ours": {`alter table %s."Rows" add column team text default 'x' not null`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDestination(server.DSN("postgres"), "hard")
			made := d.open(t)
			defer made.Close()
			sql(t, d.spec.Schema, `drop view %s.inventory_current, %s.inventory_stale`) // which hold on to columns
			sql(t, d.spec.Schema, strings.Split(c.change, "; ")...)
			_, err := open(t, d.spec, map[string]string{"dsn": d.dsn})
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			mustContain(t, err, "spec.postgres.table", c.want)
			if !sink.IsPermanent(err) {
				t.Error("the error is not permanent")
			}
		})
	}
}

// Tables that were dropped are made again.
func TestDroppedTables(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	s := sinktest.NewSample(ref)
	if _, err := store.Mark(t.Context(), s.Snapshot().Inventory()); err != nil {
		t.Fatal(err)
	}
	sql(t, d.spec.Schema, `drop schema %s cascade`)
	if _, err := store.Mark(t.Context(), s.Snapshot().Inventory()); err == nil {
		t.Fatal("no error")
	}
	if mark, err := store.Mark(t.Context(), s.Snapshot().Inventory()); err != nil || mark != (sink.Mark{}) {
		t.Fatalf("mark is %+v, %v", mark, err)
	}
}

// A trigger that swallows rows does not go unnoticed.
func TestLostRows(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	sql(t, d.spec.Schema, `create function %s.skip() returns trigger language plpgsql as 'begin return null; end'`,
		`create trigger skip before insert on %s."Rows" for each row when (new.resource_name = 'web') execute function %s.skip()`)
	s := sinktest.NewSample(ref)
	s.Set("web", "nginx:1.27")
	s.Set("api", "nginx:1.27")
	_, err := store.Apply(t.Context(), first(s.Snapshot()))
	mustContain(t, err, "took 1 of 2 rows")
}

func TestConnectionsThatAreRefused(t *testing.T) {
	sql(t, "", "create role reads login password 'the-password'")
	dsn := func(user, password, database, query string) string {
		return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?%s", user, password, server.Port(), database, query)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	spec := kollectv1alpha1.PostgresSink{Schema: newSchema()}
	for name, c := range map[string]struct {
		secret    map[string]string
		permanent bool
		want      string
	}{
		"no dsn":            {nil, true, "must have dsn"},
		"wrong password":    {map[string]string{"dsn": dsn(service.User, "not-the-password", "postgres", "sslmode=disable")}, true, "correct the user, the password"},
		"no such user":      {map[string]string{"dsn": dsn("who", "not-the-password", "postgres", "")}, true, "correct the user, the password"},
		"no such database":  {map[string]string{"dsn": dsn(service.User, service.Password, "nowhere", "")}, true, "create the database"},
		"may not create":    {map[string]string{"dsn": dsn("reads", "the-password", "postgres", "")}, true, "grant the user"},
		"nobody listens":    {map[string]string{"dsn": "postgres://me:not-the-password@" + nobody.Addr().String() + "/x"}, false, "refused"},
		"no such host":      {map[string]string{"dsn": "postgres://me:not-the-password@nowhere.invalid/x"}, false, "nowhere.invalid"},
		"unknown authority": {map[string]string{"dsn": dsn(service.User, service.Password, "postgres", "sslmode=verify-full")}, true, "correct ca.crt"},
		"no authority":      {map[string]string{"dsn": dsn(service.User, service.Password, "postgres", "sslmode=verify-ca")}, true, "ca.crt"},
		"odd authority":     {map[string]string{"dsn": dsn(service.User, service.Password, "postgres", ""), "ca.crt": "x"}, true, "ca.crt"},
		"odd certificate":   {map[string]string{"dsn": dsn(service.User, service.Password, "postgres", ""), "tls.crt": "x"}, true, "tls.crt"},
		"odd mode":          {map[string]string{"dsn": dsn(service.User, service.Password, "postgres", "sslmode=maybe")}, true, "sslmode"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, spec, c.secret)
			mustContain(t, err, c.want)
			if sink.IsPermanent(err) != c.permanent {
				t.Errorf("%v: permanent is %t", err, !c.permanent)
			}
			for _, secret := range []string{"not-the-password", "the-password", service.Password} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error has a password in it: %v", err)
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	sql(t, "", "create role "+service.Certified+" login superuser")
	certificate, key, err := server.ClientCertificate(service.Certified)
	if err != nil {
		t.Fatal(err)
	}
	ca := string(server.CA())
	at := func(host, user, query string) string {
		return fmt.Sprintf("postgres://%s@%s/postgres?%s", user, net.JoinHostPort(host, strconv.Itoa(server.Port())), query)
	}
	admin := service.User + ":" + service.Password
	for name, c := range map[string]struct {
		secret    map[string]string
		encrypted bool
	}{
		"default":                    {map[string]string{"dsn": at("127.0.0.1", admin, "")}, true},
		"allow":                      {map[string]string{"dsn": at("127.0.0.1", admin, "sslmode=allow")}, false},
		"disable":                    {map[string]string{"dsn": at("127.0.0.1", admin, "sslmode=disable")}, false},
		"require":                    {map[string]string{"dsn": at("127.0.0.1", admin, "sslmode=require")}, true},
		"require, with an authority": {map[string]string{"dsn": at("127.0.0.2", admin, "sslmode=require"), "ca.crt": ca}, true},
		"an authority":               {map[string]string{"dsn": at("127.0.0.1", admin, ""), "ca.crt": ca}, true},
		"verify-full":                {map[string]string{"dsn": at("localhost", admin, "sslmode=verify-full"), "ca.crt": ca}, true},
		"a certificate": {map[string]string{
			"dsn": at("127.0.0.1", service.Certified, "sslmode=verify-full"), "ca.crt": ca, "tls.crt": string(certificate), "tls.key": string(key),
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			data := map[string][]byte{}
			for k, v := range c.secret {
				data[k] = []byte(v)
			}
			store, err := Open(t.Context(), kollectv1alpha1.PostgresSink{Schema: newSchema()}, data, Options{Dial: dialServer})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			var encrypted bool
			if err := store.pool.QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&encrypted); err != nil {
				t.Fatal(err)
			}
			if encrypted != c.encrypted {
				t.Errorf("encrypted is %t", encrypted)
			}
		})
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	other, _, err := server.ClientCertificate("other") // has signed nothing
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ host, query, ca string }{
		"another name":                  {"127.0.0.2", "", string(server.CA())},
		"another authority":             {"127.0.0.1", "sslmode=verify-ca", string(other)},
		"another authority, by require": {"127.0.0.1", "sslmode=require", string(other)},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := fmt.Sprintf("postgres://%s:%s@%s:%d/postgres?%s", service.User, service.Password, c.host, server.Port(), c.query)
			_, err := Open(t.Context(), kollectv1alpha1.PostgresSink{Schema: newSchema()},
				map[string][]byte{"dsn": []byte(dsn), "ca.crt": []byte(c.ca)}, Options{Dial: dialServer})
			mustContain(t, err, "correct ca.crt")
			if !sink.IsPermanent(err) {
				t.Error("the error is not permanent")
			}
		})
	}
}

// dialServer connects to the server, whatever the address.
func dialServer(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port())))
}

func TestNames(t *testing.T) {
	for _, spec := range []kollectv1alpha1.PostgresSink{
		{Schema: `a"b`}, {Table: "a b"}, {Table: "1a"}, {Table: strings.Repeat("a", 58)}, {Schema: strings.Repeat("a", 64)},
	} {
		if _, err := newTables(spec); err == nil {
			t.Errorf("%+v: no error", spec)
		}
	}
}
