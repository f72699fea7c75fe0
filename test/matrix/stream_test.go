package matrix

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// stream is what one caller has read of accessiblerows before rights change: a
// list, a page of it, and a watch that goes on.
type stream struct {
	oracle  *oracle // of the time when it was opened
	as      *caller
	at      string // a namespace; empty: all
	version string
	token   string // after the first row; empty if there is no other
	cancel  context.CancelFunc

	mu     sync.Mutex // guards what follows
	events []string
	text   []string
	ended  time.Time
	why    string
	done   chan struct{}
}

// mayFollow returns where the caller may list and watch accessiblerows.
func (o *oracle) mayFollow() (at string, ok bool) {
	for _, at := range places("accessiblerows") {
		may := func(verb string) bool {
			return o.rights.allow(question{verb: verb, group: served, resource: "accessiblerows", namespace: at})
		}
		if may("list") && may("watch") && at != unique("nowhere") {
			return at, true
		}
	}
	return "", false
}

// follow opens a stream, if the caller may have one.
func (w *world) follow(ctx context.Context, o *oracle, c *caller) (*stream, error) {
	at, ok := o.mayFollow()
	if !ok {
		return nil, nil
	}
	s := &stream{oracle: o, as: c, at: at, done: make(chan struct{})}
	page, err := w.listed(ctx, s.as, s.ask(1).path(""))
	if err != nil {
		return nil, err
	}
	s.token, s.version = page.next, page.version
	if rows := len(o.selected(s.ask(0))); len(page.items) != min(1, rows) || (s.token != "") != (rows > 1) {
		return nil, fmt.Errorf("%s: the first page has %d of %d rows, token %q", c, len(page.items), rows, s.token)
	}
	ctx, s.cancel = context.WithCancel(ctx)
	response, err := w.open(ctx, w.ways[0], c, s.watchPath(), "application/json")
	if err != nil {
		return nil, err
	}
	if response.StatusCode != 200 {
		response.Body.Close()
		return nil, fmt.Errorf("%s: watch: %s", c, response.Status)
	}
	go s.read(response.Body)
	return s, nil
}

func (s *stream) ask(limit int) *ask {
	return &ask{as: s.as, verb: "list", resource: "accessiblerows", namespace: s.at, form: "json", limit: limit}
}

func (s *stream) watchPath() string {
	return s.ask(0).path("") + "?watch=true&timeoutSeconds=600&resourceVersion=" + s.version
}

// listed lists as a caller who may.
func (w *world) listed(ctx context.Context, as *caller, path string) (*listed, error) {
	a, err := w.read(ctx, w.ways[0], as, path, "application/json")
	if err != nil {
		return nil, err
	}
	if a.status != 200 {
		return nil, fmt.Errorf("%s: %s: %d: %s", as, path, a.status, a.body)
	}
	return parseList(a.body)
}

// read keeps the events until there are no more.
func (s *stream) read(body io.ReadCloser) {
	defer close(s.done)
	defer body.Close()
	for decoder := json.NewDecoder(body); ; {
		var e event
		err := decoder.Decode(&e)
		s.mu.Lock()
		if err != nil || e.Type == "ERROR" {
			s.ended = time.Now()
			s.why = fmt.Sprintf("%v %s %s", err, e.Type, e.Object)
			s.mu.Unlock()
			return
		}
		i, err := parseItem(e.Object)
		s.text = append(s.text, string(e.Object))
		s.events = append(s.events, fmt.Sprint(e.Type, " ", i.id()))
		if err != nil {
			s.text = append(s.text, err.Error())
		}
		s.mu.Unlock()
	}
}

func (s *stream) stop() {
	s.cancel()
	<-s.done
}

// state returns what was read until now.
func (s *stream) state() (events, text []string, ended time.Time, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events), slices.Clone(s.text), s.ended, s.why
}

// fate is what is to become of a stream when rights change.
type fate int

const (
	stays  fate = iota // no right has changed that it depends on
	either             // rights have changed, but not what is seen
	ends               // what is seen has changed
)

// fateOf compares what may be seen before and after.
func (s *stream) fateOf(after *oracle) fate {
	if !slices.Equal(ids(s.oracle.selected(s.ask(0))), ids(after.selected(s.ask(0)))) {
		return ends
	}
	for _, k := range sourceKinds {
		for _, ns := range append([]string{""}, uniqueNames()...) {
			q := question{verb: "list", group: k.resource.Group, resource: k.resource.Resource, namespace: ns}
			if s.oracle.rights.allow(q) != after.rights.allow(q) {
				return either
			}
		}
	}
	return stays
}

func uniqueNames() (names []string) {
	for _, ns := range namespaces {
		names = append(names, unique(ns))
	}
	return names
}

// judgeEnd judges a stream after the time that a change of rights may take. It
// returns how long it took to end.
func (s *stream) judgeEnd(after *oracle, changed time.Time) (took time.Duration, wrong []string) {
	events, _, ended, why := s.state()
	if len(events) > 0 {
		wrong = append(wrong, fmt.Sprintf("events while nothing happened: %v", events))
	}
	fate := s.fateOf(after)
	switch {
	case ended.IsZero() && fate == ends:
		wrong = append(wrong, "the watch goes on with the old rights")
	case ended.IsZero():
		return 0, wrong
	case strings.Contains(why, comeAgain): // so the client lists again
	case fate == stays:
		wrong = append(wrong, "the watch ended: "+why)
	case !strings.Contains(why, `"code":410`):
		wrong = append(wrong, "the watch ended without 410: "+why)
	}
	if took = ended.Sub(changed); took > changeOfRights+lag {
		wrong = append(wrong, fmt.Sprintf("the watch ended after %s", took))
	}
	return took, wrong
}

// judgeOld goes on, with the rights that there are now, with the token and with
// the version from before.
func (w *world) judgeOld(ctx context.Context, s *stream, after *oracle, counts *tally) {
	rest := after.selected(s.ask(0))
	if s.token != "" {
		w.judgeTold(ctx, s, after, "token of before", s.ask(1000).path(s.token), rest[min(1, len(rest)):], counts)
	}
	w.judgeTold(ctx, s, after, "version of before", s.ask(0).path("")+"?resourceVersionMatch=Exact&resourceVersion="+s.version, rest, counts)
}

// judgeTold judges a list that is to have the rows or, if rights have changed, 410.
func (w *world) judgeTold(ctx context.Context, s *stream, after *oracle, kind, path string, rest []*item, counts *tally) {
	want := after.judge(s.ask(0))
	tracesIn(want.traces, path)
	a, err := w.read(ctx, w.ways[0], s.as, path, "application/json")
	if err != nil {
		w.tell(kind, s.as, path, []string{err.Error()}, counts)
		return
	}
	var wrong []string
	fault := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	switch fate := s.fateOf(after); {
	case want.status == 403 && a.status == 403:
	case want.status == 200 && a.status == 410 && fate != stays:
	case want.status == 200 && a.status == 200 && fate != ends:
		list, err := parseList(a.body)
		if err != nil {
			fault("%v", err)
			break
		}
		compareSets(fault, "rows", ids(list.items), ids(rest))
	default:
		fault("status %d: %.300s", a.status, a.body)
	}
	for _, trace := range want.foreign([]string{string(a.body)}) {
		fault("a trace of what is not to be seen: %s", trace)
	}
	w.tell(kind, s.as, path, wrong, counts)
}

// judgeForeign goes on with a token that another caller was given: it may have
// died, but what comes is the caller's own.
func (w *world) judgeForeign(ctx context.Context, s, other *stream, counts *tally) {
	if other.token == "" || s.at != other.at {
		return
	}
	decoded, err := base64.RawURLEncoding.DecodeString(other.token)
	w.must(err)
	var token struct{ Start string }
	w.must(json.Unmarshal(decoded, &token))
	path := s.ask(1000).path(other.token)
	a, err := w.read(ctx, w.ways[0], s.as, path, "application/json")
	w.must(err)
	start := strings.TrimPrefix(s.at+"/"+token.Start, "/")
	want := &verdict{status: a.status, traces: map[string]bool{}}
	tracesIn(want.traces, path, start)
	for _, i := range s.oracle.selected(s.ask(0)) {
		if i.key() >= start {
			want.items = append(want.items, i)
			maps.Copy(want.traces, i.traces)
		}
	}
	got := &reply{status: a.status}
	got.keep(a)
	wrong := []string{}
	switch a.status {
	case 200:
		list, err := parseList(a.body)
		w.must(err)
		got.items = list.items
	case 410:
	default:
		wrong = append(wrong, fmt.Sprintf("status %d", a.status))
	}
	w.tell("token of another", s.as, path, append(wrong, want.compare(s.ask(0), got)...), counts)
}
