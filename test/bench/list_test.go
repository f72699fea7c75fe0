package bench

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

const (
	listRounds  = 5
	pageSize    = 500
	pageQuery   = "?limit=500&pretty=false"
	lastRounds  = 50
	peakReaders = 10
)

// BenchmarkList measures lists of all rows beside kube-apiserver, which serves
// as many custom resources of the same content, and the same columns, from its
// watch cache. Both are asked directly, by the same client, for answers that are
// neither compressed nor indented. They take turns; the figures are of medians.
//
// x-json and x-table are how many times the rows a second of kube-apiserver are
// listed, as JSON and as the Table that kubectl asks for. x-static is the time of
// the JSON divided by that in which net/http serves the same bytes from memory
// over TLS. x-page-latency is the time of a page of 500, over all pages, divided
// by that of kube-apiserver's, and x-last-page that of the last divided by that
// of the first. x-peak-memory is by how much the process grows at most during ten
// concurrent lists of all rows as JSON, divided by the same of kube-apiserver.
func BenchmarkList(b *testing.B) {
	env := start(b)
	ours, theirs := env.sides(b)
	static := serveStatic(b, ours.body(b, fromCache, asJSON, `"source":`, env.objects))
	for _, s := range []*side{ours, theirs} {
		s.body(b, fromCache, asJSON, `"source":`, env.objects)
		s.body(b, fromCache, asTable, `"cells":`, env.objects)
	}
	var ourJSON, theirJSON, staticJSON, ourTable, theirTable, ourPages, theirPages, first, last []time.Duration
	var ourPeak, theirPeak int
	for b.Loop() {
		ourPeak += env.peak(b, ours, func() { ours.readTogether(b) })
		theirPeak += env.peak(b, theirs, func() { theirs.readTogether(b) })
		for range listRounds {
			theirJSON = append(theirJSON, theirs.read(b, fromCache, asJSON, io.Discard))
			theirTable = append(theirTable, theirs.read(b, fromCache, asTable, io.Discard))
			for range listRounds { // since ours are so much shorter
				ourJSON = append(ourJSON, ours.read(b, fromCache, asJSON, io.Discard))
				staticJSON = append(staticJSON, static.read(b, "", asJSON, io.Discard))
				ourTable = append(ourTable, ours.read(b, fromCache, asTable, io.Discard))
			}
		}
		our, their, lastPage := pages(b, ours, theirs)
		ourPages, theirPages = append(ourPages, our...), append(theirPages, their...)
		for range lastRounds {
			first = append(first, ours.read(b, pageQuery, asJSON, io.Discard))
			last = append(last, ours.read(b, lastPage, asJSON, io.Discard))
		}
	}
	ratio := func(a, b []time.Duration) float64 { return float64(median(a)) / float64(median(b)) }
	b.ReportMetric(ratio(theirJSON, ourJSON), "x-json")
	b.ReportMetric(ratio(ourJSON, staticJSON), "x-static")
	b.ReportMetric(ratio(theirTable, ourTable), "x-table")
	b.ReportMetric(ratio(ourPages, theirPages), "x-page-latency")
	b.ReportMetric(ratio(last, first), "x-last-page")
	b.ReportMetric(float64(ourPeak)/float64(theirPeak), "x-peak-memory")
	b.ReportMetric(float64(env.objects)/median(ourJSON).Seconds(), "rows/s")
	b.ReportMetric(float64(ourPeak)/float64(b.N)/1e6, "peak-MB")
	b.ReportMetric(0, "ns/op")
}

// serveStatic serves a body from memory, over TLS and HTTP/2.
func serveStatic(b *testing.B, body []byte) *side {
	b.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", asJSON)
		if _, err := w.Write(body); err != nil {
			b.Error(err)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	s := newSide(b, config, "/", "")
	s.read(b, "", asJSON, io.Discard)
	return s
}

// readTogether reads the whole list some times at once, each over a connection
// of its own.
func (s *side) readTogether(b *testing.B) {
	var readers sync.WaitGroup
	for range peakReaders {
		client := s.connect(b)
		readers.Go(func() {
			if _, err := read(b.Context(), client, s.list+fromCache, asJSON, io.Discard); err != nil {
				b.Error(err)
			}
		})
	}
	readers.Wait()
}

// pages reads both lists page by page, in turn, and returns how long each page
// took and the query of our last.
func pages(b *testing.B, ours, theirs *side) (our, their []time.Duration, last string) {
	b.Helper()
	ourQuery, theirQuery := pageQuery, pageQuery
	for ourQuery != "" && theirQuery != "" {
		last = ourQuery
		our, ourQuery = ours.page(b, our, ourQuery)
		their, theirQuery = theirs.page(b, their, theirQuery)
	}
	if ourQuery != theirQuery {
		b.Fatalf("after %d pages there is %q and %q", len(our), ourQuery, theirQuery)
	}
	return our, their, last
}

// page reads a page and returns the query of the next, or nothing.
func (s *side) page(b *testing.B, times []time.Duration, query string) (_ []time.Duration, next string) {
	b.Helper()
	var body bytes.Buffer
	times = append(times, s.read(b, query, asJSON, &body))
	if token := listMeta(b, body.Bytes()).Continue; token != "" {
		next = pageQuery + "&continue=" + url.QueryEscape(token)
	}
	return times, next
}
