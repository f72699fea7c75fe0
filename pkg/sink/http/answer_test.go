package httpsink

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

var now = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

// serve opens a store at a server that answers so.
func serve(t *testing.T, secret map[string][]byte, handler http.HandlerFunc) *Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return openAt(t, server.URL, secret)
}

func openAt(t *testing.T, url string, secret map[string][]byte) *Store {
	t.Helper()
	store, err := Open(kollectv1alpha1.HTTPSink{URL: url}, secret, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func sample(rows int) *inventory.Snapshot {
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(rows)
	return s.Snapshot()
}

func write(t *testing.T, store *Store, snapshot *inventory.Snapshot, generation int64) (sink.Mark, error) {
	t.Helper()
	return store.Write(t.Context(), sink.Export{Snapshot: snapshot, Generation: generation, Time: now})
}

func TestAnswersSayWhatToDoNext(t *testing.T) {
	key := strings.Repeat("k3y", 8)
	for name, tc := range map[string]struct {
		status    int
		header    [2]string
		fenced    bool
		permanent bool
		wait      time.Duration
		words     string
	}{
		"conflict":             {status: 409, fenced: true},
		"precondition failed":  {status: 412, fenced: true},
		"busy":                 {status: 503, header: [2]string{"Retry-After", "90"}, wait: 90 * time.Second},
		"busy until a time":    {status: 429, header: [2]string{"Retry-After", now.Add(time.Minute).Format(http.TimeFormat)}, wait: time.Minute},
		"busy until yesterday": {status: 429, header: [2]string{"Retry-After", now.Add(-time.Hour).Format(http.TimeFormat)}},
		"busy for nonsense":    {status: 503, header: [2]string{"Retry-After", "soon"}},
		"broken":               {status: 500},
		"a bad gateway":        {status: 502},
		"slow":                 {status: 408},
		"unauthorized":         {status: 401, permanent: true, words: "hmac-key"},
		"forbidden":            {status: 403, permanent: true, words: "Secret"},
		"not found":            {status: 404, permanent: true, words: "spec.http.url"},
		"no such method":       {status: 405, permanent: true, words: "spec.http.method"},
		"not implemented":      {status: 501, permanent: true, words: "spec.http.method"},
		"too large":            {status: 413, permanent: true, words: "raise"},
		"another type":         {status: 415, permanent: true, words: "spec.http.format"},
		"bad request":          {status: 400, permanent: true, words: "mend the endpoint"},
		"another host":         {status: 307, header: [2]string{"Location", "http://127.0.0.2:1/x?token=secret"}, permanent: true, words: "spec.http.url"},
		"another method":       {status: 302, header: [2]string{"Location", "/x"}, permanent: true, words: "307 and 308"},
	} {
		t.Run(name, func(t *testing.T) {
			store := serve(t, map[string][]byte{"hmac-key": []byte(key)}, func(w http.ResponseWriter, q *http.Request) {
				if tc.header[0] != "" {
					w.Header().Set(tc.header[0], tc.header[1])
				}
				w.WriteHeader(tc.status)
				io.WriteString(w, "no: "+key+strings.Repeat(" x", maxText))
			})
			_, err := write(t, store, sample(5), 1)
			if err == nil {
				t.Fatal("no error")
			}
			if errors.Is(err, sink.ErrFenced) != tc.fenced || sink.IsPermanent(err) != tc.permanent || sink.RetryWait(err) != tc.wait || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v: fenced %v, permanent %v, wait %v", err, errors.Is(err, sink.ErrFenced), sink.IsPermanent(err), sink.RetryWait(err))
			}
			if text := err.Error(); strings.Contains(text, key) || strings.Contains(text, "token=secret") || len(text) > 1200 {
				t.Errorf("the error tells too much: %s", text)
			}
		})
	}
}

// A redirect on the same host that keeps the method is followed, with the body and a
// signature for where it goes.
func TestRedirectsOnTheSameHostAreFollowed(t *testing.T) {
	var got atomic.Int64
	var inputs [2]string
	store := serve(t, map[string][]byte{"hmac-key": []byte(strings.Repeat("k", 32))}, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/moved" {
			inputs[0] = q.Header.Get("Signature")
			http.Redirect(w, q, "/moved", http.StatusPermanentRedirect)
			return
		}
		inputs[1] = q.Header.Get("Signature")
		n, err := io.Copy(io.Discard, q.Body)
		if err != nil || n != q.ContentLength {
			t.Errorf("%d bytes came of %d: %v", n, q.ContentLength, err)
		}
		got.Add(n)
	})
	if _, err := write(t, store, sample(5), 1); err != nil {
		t.Fatal(err)
	}
	if got.Load() == 0 || inputs[0] == inputs[1] || inputs[1] == "" {
		t.Errorf("%d bytes came, with signatures %q", got.Load(), inputs)
	}
}

// A receiver that understands POST or PUT alone is asked for nothing else.
func TestAReceiverThatDoesNotTell(t *testing.T) {
	for name, status := range map[string]int{"answers all": 200, "has one method": 405, "finds nothing": 404} {
		t.Run(name, func(t *testing.T) {
			var others atomic.Int64 // requests that are neither PUT nor HEAD
			store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
				switch q.Method {
				case http.MethodPut:
				case http.MethodHead:
					w.WriteHeader(status)
				default:
					others.Add(1)
					w.WriteHeader(status)
				}
			})
			s := sample(3)
			mark := func() sink.Mark {
				t.Helper()
				m, err := store.Mark(t.Context(), s.Inventory())
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			if diff := cmp.Diff(sink.Mark{}, mark()); diff != "" {
				t.Errorf("mark before: -want +got\n%s", diff)
			}
			written, err := write(t, store, s, 4)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(written, mark()); diff != "" {
				t.Errorf("mark: -want +got\n%s", diff)
			}
			if _, err := write(t, store, s, 4); !errors.Is(err, sink.ErrFenced) {
				t.Errorf("the same generation again: %v, want ErrFenced", err)
			}
			confirmed, err := store.Confirm(t.Context(), s.Inventory(), written, now.Add(time.Minute))
			if err != nil || !confirmed.Time.Equal(now.Add(time.Minute)) || others.Load() != 0 {
				t.Errorf("confirm: %v, %v, and %d requests", confirmed, err, others.Load())
			}
			if refs, err := store.Inventories(t.Context(), "demo"); err != nil || refs != nil {
				t.Errorf("inventories: %v, %v", refs, err)
			}
			err = store.Forget(t.Context(), s.Inventory(), 5, now)
			if refused := status == 405; (err != nil) != refused || sink.IsPermanent(err) != refused {
				t.Errorf("forget: %v", err)
			}
		})
	}
}

// A receiver that refuses may say what it holds, if it does not tell otherwise.
func TestARefusalSaysWhatIsHeld(t *testing.T) {
	store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
		switch q.Header.Get(headerGeneration) {
		case "": // HEAD
			w.WriteHeader(http.StatusNotFound)
		case "501":
		default:
			w.Header().Set(headerGeneration, "500")
			w.WriteHeader(http.StatusConflict)
		}
	})
	s := sample(1)
	if _, err := store.Mark(t.Context(), s.Inventory()); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, store, s, 1); !errors.Is(err, sink.ErrFenced) {
		t.Fatalf("error %v, want ErrFenced", err)
	}
	mark, err := store.Mark(t.Context(), s.Inventory())
	if err != nil || mark.Generation != 500 || mark.Hash != "" {
		t.Fatalf("mark %v, %v, want generation 500 without a hash", mark, err)
	}
	if _, err := write(t, store, s, 501); err != nil {
		t.Error(err)
	}
}

// A receiver that tells what it holds need not note when that was confirmed.
func TestConfirmingWithoutPatch(t *testing.T) {
	var held atomic.Pointer[http.Header]
	store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
		switch q.Method {
		case http.MethodPut:
			held.Store(&q.Header)
		case http.MethodHead:
			for _, header := range []string{headerGeneration, headerContentHash, headerSchema, headerRows, headerTime} {
				w.Header().Set(header, held.Load().Get(header))
			}
		default:
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	})
	s := sample(1)
	mark, err := write(t, store, s, 1)
	if err != nil {
		t.Fatal(err)
	}
	later, err := store.Confirm(t.Context(), s.Inventory(), mark, now.Add(time.Minute))
	if err != nil || !later.Time.Equal(now.Add(time.Minute)) {
		t.Errorf("confirm: %v, %v", later, err)
	}
	mark.Hash = "sha256:00"
	if _, err := store.Confirm(t.Context(), s.Inventory(), mark, now); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("confirm other content: %v, want ErrFenced", err)
	}
}

// A receiver that mixes inventories up, or says what cannot be, is not written to.
func TestAReceiverThatTellsNonsense(t *testing.T) {
	good := map[string]string{
		headerGeneration: "3", headerContentHash: "sha256:00", headerSchema: "ndjson/1", headerRows: "1", headerTime: "2026-11-21T22:00:00.000Z",
	}
	for name, tc := range map[string]struct{ header, value, words string }{
		"another inventory":  {headerInventory, "other", "another inventory"},
		"another cluster":    {headerCluster, "other", "{cluster}"},
		"no number":          {headerGeneration, "x", headerGeneration},
		"a negative number":  {headerGeneration, "-1", headerGeneration},
		"a number too large": {headerGeneration, "9223372036854775807", headerGeneration},
		"no hash":            {headerContentHash, "", headerContentHash},
		"no schema":          {headerSchema, "", headerSchema},
		"no rows":            {headerRows, "many", headerRows},
		"no time":            {headerTime, "yesterday", headerTime},
	} {
		t.Run(name, func(t *testing.T) {
			store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
				for header, value := range good {
					w.Header().Set(header, value)
				}
				w.Header().Set(tc.header, tc.value)
			})
			if _, err := store.Mark(t.Context(), sample(1).Inventory()); !sink.IsPermanent(err) || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error %v, want a permanent one with %q", err, tc.words)
			}
		})
	}
}

func TestListsThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		media, body string
		fails       bool
	}{
		"a page":        {"text/html", "<html>", false},
		"another thing": {"application/json", `{"status": "ok"}`, true},
		"too much":      {"application/json", "[" + strings.Repeat(" ", maxListBytes) + "]", true},
		"a list":        {"application/json; charset=utf-8", "[]", false},
	} {
		store := serve(t, nil, func(w http.ResponseWriter, q *http.Request) {
			w.Header().Set("Content-Type", tc.media)
			io.WriteString(w, tc.body)
		})
		if refs, err := store.Inventories(t.Context(), "demo"); len(refs) > 0 || (err != nil) != tc.fails {
			t.Errorf("%s: %v, %v", name, refs, err)
		}
	}
}
