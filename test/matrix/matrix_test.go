package matrix

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// seed makes the matrix the same each time.
const seed = 3

const (
	wantCases = 10_000
	workers   = 8
	// faults is after how many cases that are wrong no more are told.
	faults = 40

	// changeOfRights is how long a change of rights may take to show, and lag how
	// long kube-apiserver may take to know of it.
	changeOfRights = 10 * time.Second
	lag            = time.Second
)

// tally counts cases by kind. It is safe for concurrent use.
type tally struct {
	mu    sync.Mutex // guards what follows
	cases map[string]int
	want  map[int]int // by status
	rows  int         // that were to come
	wrong int
}

func (t *tally) expect(v *verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.want[v.status]++
	t.rows += len(v.items) + len(v.changes)
}

func (t *tally) String() string {
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(t.cases)) {
		fmt.Fprintf(&b, ", %s %d", kind, t.cases[kind])
	}
	return fmt.Sprintf("%d cases (status %v), %d objects%s", t.all(), t.want, t.rows, b.String())
}

func (t *tally) all() (n int) {
	for _, cases := range t.cases {
		n += cases
	}
	return n
}

// Each caller gets what RBAC objects say, and nothing else, in any form, before
// and after rights have changed.
func TestEachCallerReadsWhatItMay(t *testing.T) {
	w := newWorld(t)
	callers := newCallers()
	counts := &tally{cases: map[string]int{}, want: map[int]int{}}
	start := time.Now()
	phase := func(name string) {
		t.Logf("%s: %d cases after %s", name, counts.all(), time.Since(start).Round(time.Second/10))
	}

	first := w.truth()
	w.changeSources("new", "n0", "n3", "n1")
	second := w.truth()
	phase("made")
	w.judgeAll(callers, second, first, counts)
	phase("judged")

	streams := w.followAll(callers, second, counts)
	w.changeRights()
	changed := time.Now()
	third := w.truth()
	same, others := split(callers, second, third)
	w.judgeAll(same, third, second, counts) // whose rights are what they were
	phase("judged whose rights did not change")
	w.waitUntil(changed.Add(changeOfRights + lag))
	streams = w.judgeStreams(streams, third, changed, counts)
	w.changeSources("newer", "n1", "n0", namespaces[:5]...)
	fourth := w.truth()
	phase("changed")
	w.judgeAll(others, fourth, third, counts)
	w.judgeEvents(streams, third, fourth, counts)
	phase("judged again")

	t.Log(counts)
	if counts.all() < wantCases {
		t.Errorf("judged %d cases, want %d", counts.all(), wantCases)
	}
}

// split tells callers whose rules are what they were from others.
func split(callers []*caller, before, after *truth) (same, others []*caller) {
	for _, c := range callers {
		groups := groupsOf(c.user, c.groups)
		if reflect.DeepEqual(before.rbac.of(c.user, groups), after.rbac.of(c.user, groups)) {
			same = append(same, c)
		} else {
			others = append(others, c)
		}
	}
	return same, others
}

func (w *world) waitUntil(when time.Time) {
	w.Helper()
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.Context().Done():
		w.Fatal(w.Context().Err())
	}
}

// each calls f with the callers, a few at a time.
func each(callers []*caller, f func(n int, c *caller)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(callers); n = int(next.Add(1)) - 1 {
				f(n, callers[n])
			}
		})
	}
	running.Wait()
}

// followAll opens the streams of all callers that may have one.
func (w *world) followAll(callers []*caller, now *truth, counts *tally) []*stream {
	w.Helper()
	found := make([]*stream, len(callers))
	each(callers, func(n int, c *caller) {
		var err error
		if found[n], err = w.follow(w.Context(), newOracle(now, now, c), c); err != nil {
			w.tell("watch", c, "accessiblerows", []string{err.Error()}, counts)
		}
	})
	streams := slices.DeleteFunc(found, func(s *stream) bool { return s == nil })
	for _, s := range streams {
		w.Cleanup(s.stop)
	}
	for n, s := range streams {
		w.judgeForeign(w.Context(), s, streams[(n+1)%len(streams)], counts)
	}
	return streams
}

// judgeStreams judges what has become of streams, and opens those that have ended
// again, as an informer does.
func (w *world) judgeStreams(streams []*stream, now *truth, changed time.Time, counts *tally) (going []*stream) {
	w.Helper()
	var slowest time.Duration
	ended := 0
	for _, s := range streams {
		after := newOracle(now, now, s.as)
		took, wrong := s.judgeEnd(after, changed)
		slowest = max(slowest, took)
		w.tell("watch over a change", s.as, s.watchPath(), wrong, counts)
		w.judgeOld(w.Context(), s, after, counts)
		if took == 0 {
			going = append(going, s)
			continue
		}
		ended++
		switch again, err := w.follow(w.Context(), after, s.as); {
		case err != nil:
			w.tell("watch over a change", s.as, s.watchPath(), []string{err.Error()}, counts)
		case again != nil:
			w.Cleanup(again.stop)
			going = append(going, again)
		}
	}
	w.Logf("%d of %d watches ended, the last after %s", ended, len(streams), slowest.Round(time.Millisecond))
	if ended < 5 || ended == len(streams) {
		w.Errorf("%d of %d watches ended: rights did not change as they were to", ended, len(streams))
	}
	return going
}

// judgeEvents ends the streams, and judges what they were sent.
func (w *world) judgeEvents(streams []*stream, before, after *truth, counts *tally) {
	w.Helper()
	for _, s := range streams {
		was, is := newOracle(before, before, s.as), newOracle(after, before, s.as)
		want := s.expected(was, is)
		w.until(func() error {
			if got, _, _, why := s.state(); len(got) < len(want) && why == "" {
				return fmt.Errorf("%s: got %d events, want %d", s.as, len(got), len(want))
			}
			return nil
		})
		s.stop()
		got, text, _, why := s.state()
		var wrong []string
		fault := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
		if strings.Contains(why, comeAgain) { // and it does not know of more
			want = slices.DeleteFunc(want, func(event string) bool { return !slices.Contains(got, event) })
		}
		compareSets(fault, "events", got, want)
		seen := &verdict{traces: map[string]bool{}}
		for _, i := range append(was.selected(s.ask(0)), is.selected(s.ask(0))...) {
			maps.Copy(seen.traces, i.traces)
		}
		for _, trace := range seen.foreign(text) {
			fault("a trace of what is not to be seen: %s", trace)
		}
		w.tell("watch after a change", s.as, s.watchPath(), wrong, counts)
	}
}

// judgeAll judges the matrix, a few callers at a time.
func (w *world) judgeAll(callers []*caller, now, before *truth, counts *tally) {
	w.Helper()
	each(callers, func(n int, c *caller) {
		m := &maker{oracle: newOracle(now, before, c), ways: w.ways, as: c, chance: rand.New(rand.NewPCG(seed, uint64(n)))}
		w.judgeCaller(w.Context(), m.oracle, m.makeAsks(), counts)
	})
}

func (w *world) judgeCaller(ctx context.Context, o *oracle, asks []*ask, counts *tally) {
	for _, a := range asks {
		want := o.judge(a)
		var wrong []string
		if got, err := w.ask(ctx, a, len(want.items)); err != nil {
			wrong = []string{err.Error()}
		} else {
			wrong = want.compare(a, got)
		}
		counts.expect(want)
		w.tell(a.kind(), a.as, a.by.name+": "+a.verb+" "+a.path(""), wrong, counts)
	}
}

// tell counts a case, and tells of the first that are wrong.
func (w *world) tell(kind string, as *caller, path string, wrong []string, counts *tally) {
	counts.mu.Lock()
	defer counts.mu.Unlock()
	counts.cases[kind]++
	if len(wrong) == 0 {
		return
	}
	if counts.wrong++; counts.wrong > faults {
		w.Fail()
		return
	}
	w.Errorf("%s, %s (%s):\n\t%s", as, path, kind, strings.Join(wrong[:min(len(wrong), 8)], "\n\t"))
}
