package export

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kollect.io/kollect/pkg/sink"
)

func TestFencedByAnotherTakesAHigherGenerationOnlyWhileLeading(t *testing.T) {
	bubble(t, func(f *fixture) {
		var leads atomic.Bool
		leads.Store(true)
		f.restart(func(o *Options) { o.Leading = func(context.Context) (bool, error) { return leads.Load(), nil } })
		s := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{MinInterval: time.Hour})
		s.set(func() { s.mark.Generation, s.mark.Hash = 500, "sha256:theirs" })
		f.put(row("a", "2"))
		f.wait(time.Second)
		f.wantWrites(s, 1, 501)

		leads.Store(false)
		s.set(func() { s.mark.Generation, s.mark.Hash = 900, "sha256:theirs" })
		f.put(row("a", "3"))
		f.wantWrites(s, 1, 501)
		if got := f.state(); got.Outcome != Fenced || got.RetryTime.IsZero() || strings.Contains(got.LastError, "--cluster-name") {
			t.Errorf("state %+v, want fenced with a time to retry, by the new leader", got)
		}
	})
}

func TestGenerationThatWasCutShortIsNotTriedForEver(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{begun: 1}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(time.Second)
		f.wantWrites(s, 2)
		if got := f.state(); got.Outcome != Exported {
			t.Errorf("state %+v, want exported", got)
		}
	})
}

func TestFencedThreeTimesBacksOff(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{fail: func(operation string) error {
			if operation == "write" {
				return sink.ErrFenced
			}
			return nil
		}}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(400 * time.Millisecond)
		if got := f.state(); got.Outcome != Fenced || !strings.Contains(got.LastError, "--cluster-name") {
			t.Errorf("state %+v, want fenced, by another cluster", got)
		}
		if s.saw().marks != maxFenced {
			t.Errorf("the mark was read %d times, want before each of %d attempts", s.saw().marks, maxFenced)
		}
		f.wait(time.Hour)
		if s.saw().marks > 40 {
			t.Errorf("%d attempts in an hour", s.saw().marks)
		}
	})
}

func TestFailuresAreRetriedEverLater(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		var attempts []time.Duration
		start := time.Now()
		s.fail = func(string) error {
			attempts = append(attempts, time.Since(start))
			return errDown
		}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.put(row("a", "2")) // no reason to try again at once
		f.wait(time.Hour)
		var at []time.Duration
		s.set(func() { at = slices.Clone(attempts) })
		if len(at) < 15 || len(at) > 35 {
			t.Errorf("%d attempts in an hour", len(at))
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < 500*time.Millisecond || gap > maxBackoff {
				t.Errorf("%v between two attempts", gap)
			}
		}
		got := f.state()
		if got.Outcome != Failed || strings.Contains(got.LastError, "secret") || !strings.Contains(got.LastError, "connection refused") {
			t.Errorf("state %+v, want the error without its secret", got)
		}
		if wait := time.Until(got.RetryTime); wait <= 0 || wait > maxBackoff {
			t.Errorf("the next attempt is in %v", wait)
		}
		s.set(func() { s.fail = nil })
		f.wait(maxBackoff)
		f.wantWrites(s, 1)
	})
}

func TestADestinationIsLeftAloneAsLongAsItAsks(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{20 * time.Minute: 20 * time.Minute, 48 * time.Hour: maxRetryWait} {
		bubble(t, func(f *fixture) {
			s := &fakeSink{fail: func(string) error { return sink.RetryAfter(errDown, asked) }}
			f.synced(true, false, "")
			f.pair("lake", s, Settings{})
			f.wait(want - time.Second)
			if s.saw().marks != 1 {
				t.Errorf("%d attempts within %v", s.saw().marks, want)
			}
			s.set(func() { s.fail = nil })
			f.wait(2 * time.Second)
			f.wantWrites(s, 1)
		})
	}
}

func TestPermanentErrorsWaitForTheConfiguration(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{fail: func(string) error { return sink.Permanent(errors.New("no such bucket")) }}
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		f.wait(5 * time.Minute)
		if s.saw().marks != 1 || !f.state().Permanent {
			t.Errorf("%d attempts, want 1, and a permanent error: %+v", s.saw().marks, f.state())
		}
		s.set(func() { s.fail = nil })
		f.pair("lake", s, Settings{}) // the configuration changed
		f.wantWrites(s, 1)
	})
}

func TestASinkThatPanicsIsAFailedSink(t *testing.T) {
	bubble(t, func(f *fixture) {
		bad := &fakeSink{crash: func() { panic("boom") }}
		good := &fakeSink{}
		f.put(row("a", "1"))
		f.synced(true, false, "")
		f.pair("bad", bad, Settings{})
		f.pair("good", good, Settings{})
		f.wantWrites(good, 1)
		if got := f.state(); !strings.Contains(got.LastError, "boom") {
			t.Errorf("state %+v, want the panic", got)
		}
	})
}
