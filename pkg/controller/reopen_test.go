package controller

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A destination that is away for a restart while another process begins to lead
// is not left alone for a minute.
func TestASinkThatWasAwayIsOpenedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		changed := objectStoreSink(nil)
		changed.Generation = 2
		h.see(changed)
		sinks.fail(errors.New("connection refused"))
		h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
		pass(5 * time.Second)
		h.sinkReady("False", "OpenFailed")
		sinks.fail(nil)
		pass(5 * time.Second)
		h.sinkReady("True", "Ready")
	})
}

func TestASinkThatStaysAwayIsOpenedLessAndLessOften(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1000: time.Minute,
	} {
		if got := reopenDelay(failures); got != want {
			t.Errorf("after %d failures: %s, want %s", failures, got, want)
		}
	}
}
