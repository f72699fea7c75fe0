package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/cloudevent"
	"kollect.io/kollect/pkg/sink/sinktest"
	"kollect.io/kollect/test/services/registry"
)

func startRegistry(t *testing.T) *registry.Server {
	t.Helper()
	s, err := registry.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

func TestValuesBeginWithTheIDOfTheirSchema(t *testing.T) {
	t.Parallel()
	schemas := startRegistry(t)
	client, err := sr.NewClient(sr.URLs(schemas.URL()))
	if err != nil {
		t.Fatal(err)
	}
	// So that the ID is not that of what comes first.
	other := sr.Schema{Schema: `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`, Type: sr.TypeJSON}
	if _, err := client.RegisterSchema(t.Context(), "other-value", other, -1, -1); err != nil {
		t.Fatal(err)
	}
	d := newDestination(t)
	// Rows that were written without a registry are written again with one.
	rows := sinktest.NewSample(ref)
	rows.Fill(3)
	mustExport(t, d.open(t), rows.Snapshot(), 1)
	d.spec.SchemaRegistry = &kollectv1alpha1.SchemaRegistry{URL: schemas.URL()}
	emitter := d.open(t)
	schema := emitter.Schema(rows.Snapshot().Inventory())
	base, mark, err := resume(t.Context(), emitter, rows.Snapshot().Inventory())
	if err != nil || mark.Schema == schema {
		t.Fatalf("what was written without a registry is of schema %s, with one of %s (%v)", mark.Schema, schema, err)
	}
	if mark, err = emitter.Publish(t.Context(), deltaOf(base.Unknown(), mark, rows.Snapshot(), 2, schema)); err != nil {
		t.Fatal(err)
	}
	if read, err := d.open(t).Mark(t.Context(), rows.Snapshot().Inventory()); err != nil || read != mark {
		t.Fatalf("the mark is %+v (%v), published was %+v", read, err, mark)
	}

	registered, err := client.SchemaByVersion(t.Context(), d.spec.Topic+"-value", -1)
	if err != nil {
		t.Fatal(err)
	}
	if registered.Schema.Schema != cloudevent.ValueSchema {
		t.Errorf("the registry has the schema %s", registered.Schema.Schema)
	}
	var records int
	err = d.consume(t.Context(), rows.Snapshot().Inventory(), func(_, _ string, r *kgo.Record) error {
		if headerOf(r, "ce_generation") != "2" {
			return nil
		}
		records++
		if len(r.Value) < 5 || r.Value[0] != 0 || int(binary.BigEndian.Uint32(r.Value[1:])) != registered.ID {
			return fmt.Errorf("record %s begins with %q, not with schema %d", r.Key, r.Value[:min(5, len(r.Value))], registered.ID)
		}
		if !json.Valid(r.Value[5:]) {
			return fmt.Errorf("record %s is not JSON after the ID: %s", r.Key, r.Value)
		}
		return nil
	})
	if want := 3 + 3; err != nil || records != want { // begin, end and checkpoint are three
		t.Errorf("%d records begin with the ID, not %d: %v", records, want, err)
	}
}

func TestRegistriesThatRefuse(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was sent on", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	for name, c := range map[string]struct {
		answer    func(w http.ResponseWriter, r *http.Request)
		temporary bool
		says      []string
	}{
		"not the user":  {status(http.StatusUnauthorized), false, []string{"registry-username"}},
		"not allowed":   {status(http.StatusForbidden), false, []string{"allow the user", "-value"}},
		"incompatible":  {unlessLookup(status(http.StatusConflict)), false, []string{"not compatible", "-value"}},
		"other types":   {unlessLookup(status(http.StatusUnprocessableEntity)), false, []string{"JSON Schema"}},
		"not there":     {status(http.StatusNotFound), false, []string{"spec.kafka.schemaRegistry.url"}},
		"about to come": {status(http.StatusServiceUnavailable), true, []string{"status 503"}},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, false, []string{"redirects", "spec.kafka.schemaRegistry.url"}},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(zeros{}, 2*answerBytes)) // it is cut
		}, false, []string{"more than", "spec.kafka.schemaRegistry.url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := httptest.NewServer(http.HandlerFunc(c.answer))
			defer registry.Close()
			spec := kollectv1alpha1.KafkaSink{
				Brokers: []string{server.TLSAddress()}, Topic: newTopic(), SchemaRegistry: &kollectv1alpha1.SchemaRegistry{URL: registry.URL},
			}
			secret := map[string][]byte{"ca.crt": server.CA(), "registry-username": []byte("u"), "registry-password": []byte("s3cret-of-registry")}
			_, err := Open(t.Context(), spec, secret, Options{})
			if !c.temporary {
				mustRefuse(t, err, c.says...)
				return
			}
			if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), c.says[0]) {
				t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
			}
		})
	}
}

// status answers with it, and repeats the credentials as servers should not.
func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"error_code": %d, "message": "you said %s"}`, code, password)
	}
}

// unlessLookup answers that there is no schema, and to what registers one as then does.
func unlessLookup(then func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/versions") {
			then(w, r)
			return
		}
		status(http.StatusNotFound)(w, r)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestRegistryIsDialledAsTheServerAllows(t *testing.T) {
	t.Parallel()
	registry := httptest.NewServer(http.NotFoundHandler())
	defer registry.Close()
	d := newDestination(t)
	d.spec.SchemaRegistry = &kollectv1alpha1.SchemaRegistry{URL: registry.URL}
	there := strings.TrimPrefix(registry.URL, "http://")
	denied := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == there {
			return nil, sink.Permanent(errors.New("sinks may not connect there"))
		}
		return d.Dial(ctx, network, address)
	}
	_, err := Open(t.Context(), d.spec, nil, Options{Dial: denied})
	mustRefuse(t, err, "sinks may not connect there")
}

func TestUnframed(t *testing.T) {
	for in, want := range map[string]string{"": "", "{}": "{}", "\x00\x00\x00\x01\x02{}": "{}", "\x00\x00": "\x00\x00"} {
		if got := unframed([]byte(in)); !bytes.Equal(got, []byte(want)) {
			t.Errorf("unframed(%q) is %q", in, got)
		}
	}
}
