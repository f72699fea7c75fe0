package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kollect.io/kollect/test/controlplane"
)

// reader reads without pause while objects change and servers crash, as somebody does
// who knows nothing of those who write.
type reader struct {
	name string
	// run reads until the context ends.
	run   func(ctx context.Context, r *reader) error
	reads int
	none  int // reads that nobody answered
}

// readers returns those of all destinations that promise whole snapshots to whoever
// reads files.
func (s *scene) readers() []*reader {
	var all []*reader
	for _, d := range s.destinations {
		switch d := d.(type) {
		case *lake:
			follow, err := controlplane.BuildProgram(s.Context(), s.Output(), controlplane.Source{
				Name: "duckdb-follow", Module: "test/duckdb", Package: "./cmd/follow",
			}, true)
			s.must(err)
			all = append(all,
				&reader{name: "_latest.json", run: looks(func(context.Context) (map[string]content, error) { return d.pointed(s.ns, s.inventories) })},
				&reader{name: "_inventories.json", run: looks(func(context.Context) (map[string]content, error) { return d.listed(s.ns, s.inventories) })},
				&reader{name: "DuckDB, by both", run: runs(follow, d.path(s.ns), between().String())})
		case *branch:
			all = append(all, &reader{name: "git clone", run: looks(func(ctx context.Context) (map[string]content, error) { return d.clone(ctx, s.ns, s.inventories) })})
		}
	}
	return all
}

// follow has all of them read until stop is called, which fails the test unless each has
// read at least once a round; in a long run, five times in two rounds.
func (s *scene) follow() (stop func()) {
	ctx, cancel := context.WithCancel(s.Context())
	readers := s.readers()
	var reading sync.WaitGroup
	for _, r := range readers {
		reading.Go(func() {
			if err := r.run(ctx, r); err != nil {
				s.Errorf("a reader of %s: %v", r.name, err)
			}
		})
	}
	least := *rounds
	if *rounds >= longRun {
		least = *rounds * 5 / 2
	}
	return sync.OnceFunc(func() {
		cancel()
		reading.Wait()
		for _, r := range readers {
			fmt.Fprintf(s.Output(), "%s: %d reads of whole snapshots, each as new as the one before; %d times nobody answered\n", r.name, r.reads, r.none)
			if r.reads < least && !s.Failed() {
				s.Errorf("%s was read %d times in %d rounds", r.name, r.reads, *rounds)
			}
		}
	})
}

// between is how long a reader waits for the next read, which takes about as long: so
// that servers have processors too, and in a short run the tests beside it.
func between() time.Duration {
	if *rounds < longRun {
		return 200 * time.Millisecond
	}
	return 50 * time.Millisecond
}

// looks calls read again and again, which returns what is there of each inventory. An
// error that is no brokenError says that nobody answers.
func looks(read func(context.Context) (map[string]content, error)) func(context.Context, *reader) error {
	return func(ctx context.Context, r *reader) error {
		last := map[string]content{}
		for ctx.Err() == nil {
			contents, err := read(ctx)
			var broken brokenError
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.As(err, &broken):
				return err
			case err != nil:
				r.none++
				pause(ctx, 20*time.Millisecond)
				continue
			}
			for inventory, now := range contents {
				if err := judge(last[inventory], now, inventory == many); err != nil {
					return fmt.Errorf("%s: %w", inventory, err)
				}
				last[inventory] = now
			}
			r.reads++
			pause(ctx, between())
		}
		return nil
	}
}

// runs has a program read, which ends when its input does, and prints how often it did.
func runs(program string, args ...string) func(context.Context, *reader) error {
	return func(ctx context.Context, r *reader) error {
		cmd := exec.Command(program, args...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { in.Close() })
		defer stop()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, bytes.TrimSpace(errs.Bytes()))
		}
		r.reads, err = strconv.Atoi(strings.TrimSpace(out.String()))
		return err
	}
}

// reserved is how many generations a leader takes at once.
const reserved = 100

// judge returns an error if what a reader sees now is older than what it saw before, or
// another content of the same generation. What large inventories lose is never all at
// once.
func judge(before, now content, large bool) error {
	switch {
	case now.Generation < before.Generation:
		return fmt.Errorf("generation %d follows %d", now.Generation, before.Generation)
	case now.Generation == before.Generation && now.Hash != before.Hash:
		return fmt.Errorf("generation %d is %s and %s", now.Generation, before.Hash, now.Hash)
	case now.Hash == before.Hash:
		return differences(before.Rows, now.Rows)
	case large && len(before.Rows) > 20 && len(now.Rows) == 0:
		return fmt.Errorf("generation %d is empty, and %d has %d rows", now.Generation, before.Generation, len(before.Rows))
	}
	if (now.Generation-1)/reserved != (before.Generation-1)/reserved {
		// Another leader, perhaps, which watches by itself: what it sees first may be
		// behind what the one before has written by as long as its watch takes.
		return nil
	}
	for key, row := range now.Rows {
		if was, known := before.Rows[key]; known && version(row) < version(was) {
			return fmt.Errorf("generation %d has %v, and %d had %v", now.Generation, row, before.Generation, was)
		}
	}
	return nil
}

func TestJudge(t *testing.T) {
	rows := func(n, version int) map[string]row {
		rows := map[string]row{}
		for i := range n {
			rows[fmt.Sprint(i)] = row{Attributes: map[string]any{"value": fmt.Sprint(version)}}
		}
		return rows
	}
	before := content{Generation: 5, Hash: "a", Rows: rows(30, 9)}
	for name, c := range map[string]struct {
		now content
		bad bool
	}{
		"the same":              {before, false},
		"newer":                 {content{Generation: 6, Hash: "b", Rows: rows(20, 10)}, false},
		"what it was before":    {content{Generation: 6, Hash: "a", Rows: rows(30, 9)}, false},
		"an older generation":   {content{Generation: 4, Hash: "a", Rows: rows(30, 9)}, true},
		"two of one generation": {content{Generation: 5, Hash: "b", Rows: rows(30, 9)}, true},
		"rows of another hash":  {content{Generation: 5, Hash: "a", Rows: rows(29, 9)}, true},
		"older rows":            {content{Generation: 6, Hash: "b", Rows: rows(30, 8)}, true},
		"older of the next":     {content{Generation: 101, Hash: "b", Rows: rows(30, 8)}, false},
		"nothing":               {content{Generation: 6, Hash: "b"}, true},
	} {
		if err := judge(before, c.now, true); (err != nil) != c.bad {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// version of an object, which only rises.
func version(r row) int {
	n, _ := strconv.Atoi(fmt.Sprint(r.Attributes["value"]))
	return n
}
