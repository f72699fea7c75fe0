package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	httpsink "kollect.io/kollect/pkg/sink/http"
	"kollect.io/kollect/pkg/sink/sinktest"
)

const testKey = "a key of the tests, of some length"

// destination is a receiver behind TLS, to which connections fail on cue.
type destination struct {
	sinktest.Injector
	spec   kollectv1alpha1.HTTPSink
	secret map[string][]byte
	server *httptest.Server
}

func newDestination(t *testing.T, spec kollectv1alpha1.HTTPSink) *destination {
	server := httptest.NewTLSServer(newReceiver([]byte(testKey)))
	t.Cleanup(server.Close)
	d := &destination{spec: spec, server: server}
	d.spec.URL = server.URL + spec.URL
	d.secret = map[string][]byte{
		"hmac-key": []byte(testKey + "\n"),
		"ca.crt":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}
	return d
}

func (d *destination) Open(t *testing.T) sink.SnapshotStore {
	t.Helper()
	store, err := httpsink.Open(d.spec, d.secret, httpsink.Options{Dial: d.Dial})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// Read returns what the receiver keeps.
func (d *destination) Read(_ context.Context, of *inventory.Inventory) (*sinktest.Content, error) {
	namespace := of.Namespace
	if namespace == "" {
		namespace = "_cluster"
	}
	r := d.server.Config.Handler.(*receiver)
	r.mu.Lock()
	held := r.held[url.PathEscape(of.Cluster)+"/"+namespace+"/"+of.Name]
	if held != nil {
		held = &snapshot{held.header.Clone(), held.body}
	}
	r.mu.Unlock()
	if held == nil || held.header.Get("Kollect-Forgotten") == "true" {
		return nil, nil
	}
	rows, err := readRows(held)
	if err != nil {
		return nil, err
	}
	if want := held.header.Get("Kollect-Rows"); want != strconv.Itoa(len(rows)) {
		return nil, errors.New("Kollect-Rows is " + want)
	}
	return &sinktest.Content{Generation: held.generation(), Rows: rows}, nil
}

func readRows(held *snapshot) (map[string]string, error) {
	type row struct {
		Key        string
		Attributes json.RawMessage
	}
	plain, err := gzip.NewReader(bytes.NewReader(held.body))
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	decoder := json.NewDecoder(plain)
	if held.header.Get("Content-Type") == "application/json" {
		var document struct{ Rows []row }
		err = decoder.Decode(&document)
		for _, r := range document.Rows {
			rows[r.Key] = string(r.Attributes)
		}
		return rows, err
	}
	for {
		var r row
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		rows[r.Key] = string(r.Attributes)
	}
}

func TestConformance(t *testing.T) {
	sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots {
		return newDestination(t, kollectv1alpha1.HTTPSink{URL: "/v1/{cluster}/of {namespace}/{inventory}?tenant=a%20b", Method: "PUT", Format: "ndjson"})
	})
}

// Inventories of one URL are told apart by the headers.
func TestOneURLForAll(t *testing.T) {
	d := newDestination(t, kollectv1alpha1.HTTPSink{URL: "/inventories", Method: "POST", Format: "json"})
	store := d.Open(t)
	defer store.Close()
	refs := []inventory.Ref{{Name: "apps"}, {Namespace: "team-a", Name: "apps"}, {Namespace: "team-b", Name: "apps"}}
	for i, ref := range refs {
		s := sinktest.NewSample(ref)
		s.Fill(2 + i)
		want, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 4, Time: time.Unix(1_795_000_000, 0)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Read(t.Context(), s.Snapshot().Inventory())
		if err != nil {
			t.Fatal(err)
		}
		if diff := sinktest.Differs(s.Snapshot(), got); diff != "" {
			t.Errorf("%s: a reader sees: -want +got\n%s", ref, diff)
		}
		if mark, err := store.Mark(t.Context(), s.Snapshot().Inventory()); err != nil || mark != want {
			t.Errorf("%s: mark %v, %v, want %v", ref, mark, err, want)
		}
	}
	listed, err := store.Inventories(t.Context(), "demo")
	slices.SortFunc(listed, func(a, b inventory.Ref) int { return strings.Compare(a.String(), b.String()) })
	if err != nil || !slices.Equal(listed, refs) {
		t.Errorf("%v is listed, %v, want %v", listed, err, refs)
	}
}

// changes are what somebody on the way may do to a request.
func changes() map[string]func(q *http.Request) {
	return map[string]func(q *http.Request){
		"another generation":   func(q *http.Request) { q.Header.Set("Kollect-Generation", "9") },
		"a header more":        func(q *http.Request) { q.Header.Set("Kollect-Forgotten", "true") },
		"another path":         func(q *http.Request) { q.URL.Path += "/x" },
		"another query":        func(q *http.Request) { q.URL.RawQuery = "x" },
		"another method":       func(q *http.Request) { q.Method = http.MethodDelete },
		"another body":         func(q *http.Request) { q.Body = io.NopCloser(bytes.NewReader([]byte("x"))); q.ContentLength = 1 },
		"another digest":       func(q *http.Request) { q.Header.Set("Content-Digest", "sha-256=:AAAA:") },
		"no signature":         func(q *http.Request) { q.Header.Del("Signature") },
		"no signature's input": func(q *http.Request) { q.Header.Del("Signature-Input") },
		"another time": func(q *http.Request) {
			q.Header.Set("Signature-Input", regexp.MustCompile(`created=\d+`).ReplaceAllString(q.Header.Get("Signature-Input"), "created=1"))
		},
	}
}

func TestReceiverRefuses(t *testing.T) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			r := newReceiver([]byte(testKey))
			refuses(t, r, name, change)
			r.now = func() time.Time { return time.Now().Add(time.Hour) }
			if status := send(t, r, func(*http.Request) {}); status != http.StatusUnauthorized {
				t.Errorf("an hour later the status is %d, want 401", status)
			}
		})
	}
}

// refuses has the receiver take a snapshot, take it once more, and refuse it changed.
func refuses(t *testing.T, r http.Handler, name string, change func(q *http.Request)) {
	t.Helper()
	for range 2 {
		if status := send(t, r, func(*http.Request) {}); status/100 != 2 {
			t.Fatalf("what was not changed is answered with %d", status)
		}
	}
	want := http.StatusUnauthorized
	if name == "another body" {
		want = http.StatusBadRequest
	}
	if status := send(t, r, change); status != want {
		t.Errorf("status %d, want %d", status, want)
	}
}

// send has a sink write a snapshot, changes the request on its way, and returns the
// status that the receiver answers with.
func send(t *testing.T, r http.Handler, change func(q *http.Request)) (status int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		change(q)
		recorder := httptest.NewRecorder()
		r.ServeHTTP(recorder, q)
		status = recorder.Code
		w.WriteHeader(status)
	}))
	defer server.Close()
	store, err := httpsink.Open(kollectv1alpha1.HTTPSink{URL: server.URL}, map[string][]byte{"hmac-key": []byte(testKey)}, httpsink.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Set("web", "nginx:1.27")
	_, err = store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 1, Time: time.Unix(1_795_000_000, 0)})
	if (err == nil) != (status/100 == 2) {
		t.Fatalf("status %d, and the sink says %v", status, err)
	}
	return status
}
