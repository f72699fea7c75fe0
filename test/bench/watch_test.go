package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	watchRounds  = 3
	watchSeconds = 5 // of changes in a round
	// versionLabels is how many values the objects' version label has, which
	// watchers select by: an event is delivered to one in so many.
	versionLabels = 140
)

// BenchmarkWatch measures 1,000 watchers (BENCH_WATCHERS) of all rows during 250
// changes a second (BENCH_CHANGES), beside kube-apiserver with as many watchers of
// as many custom resources of the same content. Each watcher is a client of its own
// connection, asks a server directly, and selects by a label one in 140 of the
// rows: a server looks at 250,000 pairs of an event and a watcher a second, and
// delivers each event to 7 watchers. That is what two cores can do, which the
// servers share with the watchers: with 1,000 changes a second they are overloaded,
// kube-apiserver closes watches by the hundred, and each percentile is of a queue;
// without the selector it were 700 MB a second, through TLS, to be sent and received.
// With BENCH_WATCH_ALL=true there is none: then give few watchers.
//
// The changes are written to etcd, beside kube-apiserver, so that what it costs to
// write is nobody's. For kube-apiserver the custom resources change. For us the
// ConfigMaps do, that the rows come from: kube-apiserver sees them first, we are
// told by its watch, and extract a row. In turn one side's watchers are there and
// its objects change.
//
// x-p99 is the 99th percentile of the time from just before the write of a change
// to the arrival of its event at a watcher, divided by that at kube-apiserver's.
// x-cpu is the processor time of the server's process during the changes, what it
// takes to learn of them included, divided by that of kube-apiserver's process;
// cores and kube-cores are the two, by the time for which changes are made, and
// ns/pair and kube-ns/pair by the pairs of an event and a watcher.
// changes/s is what came of the rate. A watch that a server closes, as both do to
// those that cannot follow, is opened again where it was, as client-go does;
// reopened/s and kube-reopened/s are how often that was.
func BenchmarkWatch(b *testing.B) {
	watchers, rate := fromEnv(b, "BENCH_WATCHERS", 1000), fromEnv(b, "BENCH_CHANGES", 250)
	env := start(b)
	ours, theirs := env.sides(b)
	etcd, err := connect(env.controlPlane.EtcdEndpoint())
	must(b, err)
	defer etcd.Close()
	w := &changer{etcd: etcd, objects: env.objects, rate: rate, all: os.Getenv("BENCH_WATCH_ALL") == "true"}
	us := &watched{side: ours, stored: storedConfigMap}
	them := &watched{side: theirs, stored: storedTwin}
	for b.Loop() {
		for range watchRounds {
			us.round(b, env, w, watchers)
			them.round(b, env, w, watchers)
		}
	}
	b.ReportMetric(float64(p99(us.delivered))/float64(p99(them.delivered)), "x-p99")
	b.ReportMetric(float64(us.processor)/float64(them.processor), "x-cpu")
	b.ReportMetric(float64(p99(us.delivered))/1e6, "p99-ms")
	b.ReportMetric(us.processor.Seconds()/us.changing.Seconds(), "cores")
	b.ReportMetric(them.processor.Seconds()/them.changing.Seconds(), "kube-cores")
	b.ReportMetric(float64(us.processor)/float64(us.changes*watchers), "ns/pair")
	b.ReportMetric(float64(them.processor)/float64(them.changes*watchers), "kube-ns/pair")
	b.ReportMetric(float64(p99(them.delivered))/1e6, "kube-p99-ms")
	b.ReportMetric(float64(us.changes)/us.changing.Seconds(), "changes/s")
	b.ReportMetric(float64(us.reopened)/us.changing.Seconds(), "reopened/s")
	b.ReportMetric(float64(them.reopened)/them.changing.Seconds(), "kube-reopened/s")
	b.ReportMetric(0, "ns/op")
}

// fromEnv returns a number from the environment.
func fromEnv(b *testing.B, name string, otherwise int) int {
	set := os.Getenv(name)
	if set == "" {
		return otherwise
	}
	n, err := strconv.Atoi(set)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q; give a number from 1 on", name, set)
	}
	return n
}

// watched is a side, and what was seen of its watches.
type watched struct {
	*side
	stored func(*corev1.ConfigMap) (key string, value []byte, err error)

	delivered []time.Duration
	processor time.Duration
	changing  time.Duration
	changes   int
	reopened  int
}

// round opens the watches, makes a round of changes, and waits until every
// watcher has seen those that it selects.
func (w *watched) round(b *testing.B, env *environment, c *changer, watchers int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	r, err := c.prepare(w.stored)
	must(b, err)
	var body bytes.Buffer
	w.read(b, "?limit=1&pretty=false", asJSON, &body)
	version := listMeta(b, body.Bytes()).ResourceVersion

	streams := make([]*stream, watchers)
	w.open(ctx, b, streams, version, c.all)
	var reading sync.WaitGroup
	for i, s := range streams {
		s.want = r.selected(i)
		reading.Go(func() {
			if err := s.read(ctx, r); err != nil {
				b.Errorf("watch %s after %d of %d changes: %v", w.process, len(s.took), s.want, err)
			}
		})
	}
	pid := env.pid(b, w.process)
	before, began := processor(b, pid), time.Now()
	err = c.write(ctx, r)
	w.changing += time.Since(began)
	reading.Wait()
	w.processor += processor(b, pid) - before
	must(b, err)
	w.changes += len(r.puts)
	for _, s := range streams {
		w.delivered = append(w.delivered, s.took...)
		w.reopened += s.reopened
		s.close()
	}
}

// open starts the watches, some at a time.
func (w *watched) open(ctx context.Context, b *testing.B, streams []*stream, version string, all bool) {
	b.Helper()
	for i := range streams {
		query := "?watch=1&pretty=false&resourceVersion="
		if !all {
			query = "?watch=1&pretty=false&labelSelector=" + url.QueryEscape("app.kubernetes.io/version="+versionLabel(i)) + "&resourceVersion="
		}
		streams[i] = &stream{client: w.connect(b), url: w.list + query, version: version}
	}
	var opening sync.WaitGroup
	var next atomic.Int64
	for range 16 {
		opening.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(streams)); i = next.Add(1) - 1 {
				if err := streams[i].open(ctx); err != nil {
					b.Errorf("watch %s: %v", w.process, err)
					return
				}
			}
		})
	}
	opening.Wait()
	if b.Failed() {
		b.FailNow()
	}
}

// stream is one watcher.
type stream struct {
	client  *http.Client
	url     string // up to the version
	version string // up to which all was seen
	want    int    // changes

	body     io.ReadCloser
	took     []time.Duration
	reopened int
}

func (s *stream) open(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+s.version, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", asJSON)
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return fmt.Errorf("GET %s: %s", request.URL, response.Status)
	}
	s.body = response.Body
	return nil
}

func (s *stream) close() {
	s.body.Close()
	s.client.CloseIdleConnections()
}

// read notes how long each change took to arrive, until all have.
func (s *stream) read(ctx context.Context, r *changeRound) error {
	lines := bufio.NewReaderSize(s.body, 16<<10)
	for len(s.took) < s.want {
		line, err := lines.ReadSlice('\n')
		arrived := time.Now()
		switch {
		case err == nil:
		case ctx.Err() == nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			s.body.Close()
			if err := s.open(ctx); err != nil {
				return err
			}
			s.reopened++
			lines.Reset(s.body)
			continue
		default:
			return err
		}
		sent, ok := r.sentAt(line)
		if !ok {
			return fmt.Errorf("got %.200q, which is no change of this round", line)
		}
		s.took = append(s.took, arrived.Sub(sent))
		s.version = string(versionMember.FindSubmatch(line)[1])
	}
	return nil
}

var versionMember = regexp.MustCompile(`"resourceVersion":"(\d+)"`)
