package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reader reads a place over and over, as somebody does who wants the newest
// snapshot.
type reader struct {
	at      place
	latest  pointer
	content map[int64]string // SHA-256 by generation
	reads   int
}

// read checks that what is there is whole, and not older than what was there.
func (r *reader) read() error {
	p, _, err := r.at.read()
	if err != nil {
		return err
	}
	r.reads++
	if p.Generation < r.latest.Generation {
		return fmt.Errorf("generation %d follows %d", p.Generation, r.latest.Generation)
	}
	if before, known := r.content[p.Generation]; known && before != p.SHA256 {
		return fmt.Errorf("generation %d has two contents", p.Generation)
	}
	r.latest = p
	r.content[p.Generation] = p.SHA256
	return nil
}

// pause waits, for less if the test ends.
func (s *scene) pause(d time.Duration) {
	select {
	case <-s.Context().Done():
	case <-time.After(d):
	}
}

// The server is killed again and again while objects change: whoever reads meanwhile
// always finds a whole snapshot, and never an older one than before.
func TestCrashesLeaveTheLastCompleteExport(t *testing.T) {
	const kills, rows = 12, 40
	s := begin(t, "crashes")
	for i := range rows {
		s.put(fmt.Sprintf("settings-%02d", i), "0")
	}
	s.apply(settings + exported("lake", "parquet") + exported("lines", "ndjson"))
	var readers []*reader
	for _, name := range []string{"lake", "lines"} {
		at := s.exports(s.ns, name)
		s.wantExport(at, above(0, rows))
		readers = append(readers, &reader{at: at, content: map[int64]string{}})
	}

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, r := range readers {
		running.Go(func() {
			for ctx.Err() == nil {
				if err := r.read(); err != nil {
					t.Errorf("read %s: %v", r.at.folder, err)
					return
				}
				s.pause(3 * time.Millisecond) // leaves a core to the server
			}
		})
	}
	running.Go(func() { s.churn(ctx, rows) })

	for kill := range kills {
		if kill%2 == 0 { // at any time: while it starts to export, or does
			s.pause(rand.N(time.Second / 2))
		} else { // in the midst of the second export after its start, or about then
			before, _, err := readers[kill/2%2].at.read()
			s.must(err)
			s.wantExport(readers[kill/2%2].at, func(p pointer) error {
				if p.Generation <= before.Generation {
					return fmt.Errorf("still generation %d", p.Generation)
				}
				return nil
			})
			s.pause(rand.N(40 * time.Millisecond))
		}
		s.stop(s.server.Kill)
		s.must(s.server.Start(ctx))
		if t.Failed() {
			t.Fatalf("after %d kills", kill+1)
		}
	}
	stop()
	running.Wait()

	// What is there in the end is what is served.
	list, err := s.core.CoreV1().ConfigMaps(s.ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app=e2e"})
	s.must(err)
	for i, name := range []string{"lake", "lines"} {
		last := s.wantExport(readers[i].at, func(p pointer) error {
			head, err := s.head(s.ns, name)
			if err == nil && (head.ContentHash != p.ContentHash || p.Rows != int64(len(list.Items))) {
				err = fmt.Errorf("exported: got %+v, want %d rows of %s", p, len(list.Items), head.ContentHash)
			}
			return err
		})
		t.Logf("%s: %d reads saw %d generations up to %d", name, readers[i].reads, len(readers[i].content), last.Generation)
		if len(readers[i].content) < kills/4 {
			t.Errorf("%s: only %d generations over %d kills", name, len(readers[i].content), kills)
		}
	}
}

// churn changes, removes and makes again objects until the context ends.
func (s *scene) churn(ctx context.Context, objects int) {
	for round := 1; ctx.Err() == nil; round++ {
		name := fmt.Sprintf("settings-%02d", rand.N(objects))
		var err error
		if round%5 == 0 {
			err = s.core.CoreV1().ConfigMaps(s.ns).Delete(ctx, name, metav1.DeleteOptions{})
		} else {
			err = s.tryPut(ctx, s.ns, name, fmt.Sprint(round))
		}
		if err != nil && ctx.Err() == nil && !missing(err) {
			s.Errorf("change %s: %v", name, err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}
