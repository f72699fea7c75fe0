package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDSN(t *testing.T) {
	with := func(change func(*settings)) *settings {
		s := &settings{
			hosts: []host{{"db", 5432}}, user: "me", password: "s3c ret", database: "portal",
			sslsni: true, applicationName: "kollect", channelBinding: "prefer", connectTimeout: 10 * time.Second,
		}
		change(s)
		return s
	}
	same := func(*settings) {}
	for dsn, want := range map[string]*settings{
		"postgres://me:s3c%20ret@db/portal":                                   with(same),
		"postgresql://me:s3c%20ret@db:5432/portal?":                           with(same),
		"postgres:///portal?user=me&password=s3c%20ret&host=db":               with(same),
		"host=db user=me password='s3c ret' dbname=portal":                    with(same),
		"  host = db port='' user=me password=s3c\\ ret\ndatabase=portal ":    with(same),
		"host=db user=other user=me password='s3c ret' dbname='portal'":       with(same),
		"postgres://me:s3c+ret%25@db/portal":                                  with(func(s *settings) { s.password = "s3c+ret%" }),
		"postgres://me:a@b:c@db/portal":                                       with(func(s *settings) { s.password = "a@b:c" }),
		`host=db user=me dbname=portal password='it\'s \\'`:                   with(func(s *settings) { s.password = `it's \` }),
		"postgres://me:s3c%20ret@db":                                          with(func(s *settings) { s.database = "me" }),
		"postgres://me:s3c%20ret@[fd00::1]:6432/portal?sslmode=verify-full":   with(func(s *settings) { s.hosts = []host{{"fd00::1", 6432}}; s.sslmode = "verify-full" }),
		"postgres://me:s3c%20ret@db/portal?connect_timeout=3&sslsni=0":        with(func(s *settings) { s.connectTimeout = 3 * time.Second; s.sslsni = false }),
		"postgres://me:s3c%20ret@db/portal?application_name=x&options=-c%20a": with(func(s *settings) { s.applicationName = "x"; s.options = "-c a" }),
		"postgres://me:s3c%20ret@a:1,b:2/portal": with(func(s *settings) {
			s.hosts, s.targetSessionAttrs = []host{{"a", 1}, {"b", 2}}, "read-write"
		}),
		"host=a,b port=7 user=me password='s3c ret' dbname=portal target_session_attrs=any": with(func(s *settings) {
			s.hosts, s.targetSessionAttrs = []host{{"a", 7}, {"b", 7}}, "any"
		}),
	} {
		got, err := parseDSN(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{}, host{})); diff != "" {
			t.Errorf("%s: -want +got\n%s", dsn, diff)
		}
	}
}

func TestBadDSN(t *testing.T) {
	for dsn, want := range map[string]string{
		"hunter22":                              "neither a URL",
		"mysql://me:hunter22@db/portal":         "neither a URL",
		"user=me password=hunter22":             "names no host",
		"postgres://:hunter22@db/portal":        "names no user",
		"postgres://me:hunter22@/portal":        "names no host",
		"postgres://me:hunter22%zz@db/portal":   "%25",
		"postgres://me:hunter22@db:pg/portal":   "port",
		"postgres://me:hunter22@db:0/portal":    "port",
		"host=/run user=me password=hunter22":   "sockets",
		"host=@x user=me password=hunter22":     "sockets",
		"host=a,b,c port=1,2 user=me":           "fewer ports",
		"host=db user=me password='hunter22":    "quote",
		"host=db user=me password=a hunter22":   "neither a URL",
		"host=db user=me hunter22=a":            "keyword that is none",
		"postgres://me@db/x?hunter22":           "", // without a value, it says nothing
		"postgres://me@db/x?connect_timeout=x":  "connect_timeout",
		"host=db user=me service=hunter22":      "service",
		"host=db user=me passfile=/etc/passwd":  "passfile",
		"host=db user=me servicefile=/x":        "servicefile",
		"host=db user=me sslrootcert=/x":        "ca.crt",
		"host=db user=me sslkey=/x":             "tls.key",
		"host=db user=me hostaddr=127.0.0.1":    "hostaddr",
		"host=db user=me password=hunter22\x00": "NUL",
	} {
		_, err := parseDSN(dsn)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", dsn, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%q: error is %v, want one of %q without the password", dsn, err, want)
		}
	}
}

func FuzzDSN(f *testing.F) {
	for _, dsn := range []string{
		"postgres://me:pw@db:5432,b/portal?sslmode=require", "host=db user=me password='a\\'b' dbname=x", "=", "a='", `a=\`,
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		s, err := parseDSN(dsn)
		if err == nil && (len(s.hosts) == 0 || s.user == "" || s.database == "") {
			t.Errorf("%q: %+v", dsn, s)
		}
	})
}
