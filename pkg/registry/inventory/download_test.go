package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

func TestConditionsOfSnapshots(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 3)
	config := serve(t, s)
	response, _ := ask(t, config, "GET", snapshotOfApps)
	etag := response.Header.Get("ETag")
	response, _ = ask(t, config, "GET", snapshotOfApps+"?format=csv")
	other := response.Header.Get("ETag")
	check := func(method, header, value string, code int) {
		t.Helper()
		response, body := ask(t, config, method, snapshotOfApps, header, value)
		if response.StatusCode != code {
			t.Errorf("%s, %s %s: got %d, want %d", method, header, value, response.StatusCode, code)
		}
		h := response.Header
		if code == 304 && (len(body) > 0 || h.Get("ETag") != etag || h.Get("Vary") == "" || h.Get("Content-Disposition") != "" || h.Get("Content-Type") != "") {
			t.Errorf("%s %s: got %v with %q", header, value, h, body)
		}
		if code == 412 && !strings.Contains(string(body), `"reason":"PreconditionFailed"`) && method != "HEAD" {
			t.Errorf("%s %s: got %s", header, value, body)
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		check(method, "If-None-Match", etag, 304)
		check(method, "If-None-Match", "W/"+etag, 304)
		check(method, "If-None-Match", `"x", `+etag, 304)
		check(method, "If-None-Match", "*", 304)
		check(method, "If-None-Match", other, 200)
		check(method, "If-None-Match", strings.Trim(etag, `"`), 200)
		check(method, "If-Match", etag, 200)
		check(method, "If-Match", "*", 200)
		check(method, "If-Match", "W/"+etag, 412)
		check(method, "If-Match", other, 412)
	}
	// It is the rows that count: not the state of the inventory, and not others'.
	s.Update(func(tx *inventory.Tx) { tx.SetStatus(apps, inventory.Status{Generation: 42}) })
	addInventory(s, platform, 3)
	check("GET", "If-None-Match", etag, 304)
	change(s, newRow(apps, 1, "nginx:1.28"))
	check("GET", "If-None-Match", etag, 200)
	change(s, newRow(apps, 1, "nginx:1.27"))
	check("GET", "If-None-Match", etag, 304)
}

// An empty file has a name in it that no row tells.
func TestETagOfAnEmptySnapshot(t *testing.T) {
	tags := map[string]bool{}
	for _, cluster := range []string{"a", "b"} {
		s := inventory.NewStore(inventory.Options{})
		s.Update(func(tx *inventory.Tx) { tx.SetInventory(inventory.Inventory{Ref: apps, Cluster: cluster}) })
		response, body := ask(t, serve(t, s), "GET", snapshotOfApps)
		tags[response.Header.Get("ETag")] = true
		if want := `"metadata":{"cluster":"` + cluster + `"`; !strings.Contains(string(body), want) {
			t.Errorf("got %s, want %s", body, want)
		}
	}
	if len(tags) != 2 {
		t.Errorf("two files have the ETag of one: %v", tags)
	}
}

// A download that ended early is completed with the rest of the same bytes.
func TestSnapshotIsResumed(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 300)
	for _, f := range format.All() {
		for _, encoding := range []string{"identity", "gzip"} {
			config := serve(t, s) // which has not counted anything
			path := snapshotOfApps + "?format=" + string(f)
			get := func(headers ...string) (*http.Response, []byte) {
				t.Helper()
				return ask(t, config, "GET", path, append(headers, "Accept-Encoding", encoding)...)
			}
			head, _ := ask(t, config, "HEAD", path, "Accept-Encoding", encoding)
			etag := head.Header.Get("ETag")
			resumed, tail := get("Range", "bytes=1000-", "If-Range", etag)
			full, want := get()
			if full.ContentLength != int64(len(want)) || full.Header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("%s, %s: length %d of %d", f, encoding, full.ContentLength, len(want))
			}
			if got := resumed.Header.Get("Content-Range"); resumed.StatusCode != 206 || got != fmt.Sprintf("bytes 1000-%d/%d", len(want)-1, len(want)) || !bytes.Equal(tail, want[1000:]) {
				t.Fatalf("%s, %s: got %d, %s with %d bytes", f, encoding, resumed.StatusCode, got, len(tail))
			}
			for range 10 {
				from := rand.IntN(len(want))
				to := from + rand.IntN(len(want)-from)
				response, got := get("Range", fmt.Sprintf("bytes=%d-%d", from, to), "If-Range", etag)
				if response.StatusCode != 206 || !bytes.Equal(got, want[from:to+1]) {
					t.Errorf("%s, %s: %d-%d: got %d with %d bytes", f, encoding, from, to, response.StatusCode, len(got))
				}
			}
			for _, test := range []struct {
				ranged, condition string
				code              int
				want              []byte
			}{
				{"bytes=0-", etag, 206, want},
				{"bytes=-10", etag, 206, want[len(want)-10:]},
				{"bytes=-1000000000", etag, 206, want},
				{"bytes=5-1000000000", etag, 206, want[5:]},
				{fmt.Sprintf("bytes=%d-", len(want)), etag, 416, nil},
				{"bytes=-0", etag, 416, nil},
				// Nobody can tell that the parts are of one file:
				{"bytes=5-", "", 200, want},
				{"bytes=5-", "W/" + etag, 200, want},
				{"bytes=5-", `"sha256:0"`, 200, want},
				{"bytes=5-", "Sun, 22 Nov 2026 00:00:00 GMT", 200, want},
				// Malformed, or more than one:
				{"bytes=5-3", etag, 200, want},
				{"bytes=1-2,5-6", etag, 200, want},
				{"bytes=+1-2", etag, 200, want},
				{"bytes=99999999999999999999-", etag, 200, want},
				{"rows=1-2", etag, 200, want},
				{"bytes", etag, 200, want},
			} {
				response, got := get("Range", test.ranged, "If-Range", test.condition)
				if response.StatusCode != test.code || test.code != 416 && !bytes.Equal(got, test.want) {
					t.Errorf("%s, %s: %s if %s: got %d with %d bytes", f, encoding, test.ranged, test.condition, response.StatusCode, len(got))
				}
				if got := response.Header.Get("Content-Range"); test.code == 416 && got != fmt.Sprintf("bytes */%d", len(want)) {
					t.Errorf("%s: Content-Range %s", test.ranged, got)
				}
			}
		}
	}
}

// cutting ends a request after some of its body.
type cutting struct {
	http.ResponseWriter
	left   int
	cancel context.CancelFunc
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.cancel()
	}
	return c.ResponseWriter.Write(p)
}

// A body that ends early is an error to the client, behind a proxy too.
func TestAbortedDownloadIsSeen(t *testing.T) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 3000)
	snapshot := s.State().Snapshot(apps)
	for name, d := range map[string]*download{
		"time is over":    {snapshot: snapshot, format: format.NDJSON, sizes: &sizes{}},
		"compressed":      {snapshot: snapshot, format: format.JSON, sizes: &sizes{}, gzip: true},
		"encoding failed": {snapshot: snapshot, format: "broken", sizes: &sizes{}},
	} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			if err := d.serve(ctx, &cutting{w, 10_000, cancel}, r); err != nil {
				t.Error(err)
			}
		}))
		server.EnableHTTP2 = true
		server.StartTLS()
		to, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		reverse := httputil.NewSingleHostReverseProxy(to)
		reverse.Transport = server.Client().Transport
		reverse.ErrorLog = log.New(io.Discard, "", 0)
		proxy := httptest.NewServer(reverse)
		for _, host := range []*httptest.Server{server, proxy} {
			response, err := host.Client().Get(host.URL)
			if err != nil {
				continue // it was aborted before the head was sent
			}
			body, err := io.ReadAll(response.Body)
			if err == nil && response.StatusCode == 200 {
				t.Errorf("%s: %d of %d rows look like all of them", name, bytes.Count(body, []byte("\n")), snapshot.Len())
			}
			response.Body.Close()
		}
		proxy.Close()
		server.Close()
		if len(d.sizes.of) > 0 {
			t.Errorf("%s: %v is remembered as a size", name, d.sizes.of)
		}
	}
}

func TestSizesAreForgotten(t *testing.T) {
	s := &sizes{}
	for i := range 2 * rememberedSizes {
		s.set(fmt.Sprint(i), int64(i))
		s.set(fmt.Sprint(i), int64(i))
	}
	if _, ok := s.get("0"); ok || len(s.of) != rememberedSizes || len(s.order) != rememberedSizes {
		t.Errorf("%d are remembered", len(s.of))
	}
	if size, ok := s.get(fmt.Sprint(rememberedSizes)); !ok || size != rememberedSizes {
		t.Errorf("got %d, %t", size, ok)
	}
}

type answer struct{ err error }

func (a *answer) Object(int, runtime.Object) {}
func (a *answer) Error(err error)            { a.err = err }

// Whatever is asked, the answer is a file, or says what is wrong with it.
func FuzzDownload(f *testing.F) {
	s := inventory.NewStore(inventory.Options{})
	addInventory(s, apps, 3)
	storage := newSnapshots(s, inventory.Namespaced)
	f.Add("format=csv", "", "", "", uint8(0), `"x"`)
	f.Add("resourceVersion=1&resourceVersionMatch=Exact", "text/csv;q=0.1,*/*", "gzip;q=0", "bytes=1-", uint8(1), "*")
	f.Add(fmt.Sprintf("resourceVersion=%d", s.State().Version), "application/json;as=Table", "*", "bytes=-5", uint8(2), "*")
	f.Add("format=%", ";,;q=2", "identity;q=nan", "bytes=9-1", uint8(0), "W/")
	conditions := []string{"If-Range", "If-Match", "If-None-Match"}
	f.Fuzz(func(t *testing.T, query, accept, encoding, ranged string, which uint8, condition string) {
		ctx := request.WithNamespace(t.Context(), apps.Namespace)
		var a answer
		handler, err := storage.Connect(ctx, apps.Name, nil, &a)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.URL.RawQuery = query
		r.Header = http.Header{
			"Accept": {accept}, "Accept-Encoding": {encoding}, "Range": {ranged}, conditions[int(which)%len(conditions)]: {condition},
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		var status apierrors.APIStatus
		switch {
		case a.err != nil && !errors.As(a.err, &status):
			t.Errorf("got %v", a.err)
		case a.err != nil && !slices.Contains([]int32{400, 404, 406, 410, 412, 416, 504}, status.Status().Code):
			t.Errorf("got %v", status.Status())
		case a.err == nil && !slices.Contains([]int{200, 206, 304}, w.Code):
			t.Errorf("got %d", w.Code)
		}
	})
}
