package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
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

// Who leads again does not tell what was wrong when it led before.
func TestATermTellsNothingOfTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, objectStoreSink(nil))
		opened := errors.New("connection refused")
		h.config.Openers = map[kollectv1alpha1.SinkType]Opener{kollectv1alpha1.SinkObjectStore: func(context.Context, SinkConfig) (Sink, error) {
			time.Sleep(time.Second)
			return Sink{}, opened
		}}
		lead := func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			h.lead(ctx, func(context.Context) (bool, error) { return true, nil })
		}
		lead()
		live, err := h.sinkKind.get(t.Context(), key{"a", "lake"})
		if err != nil {
			t.Fatal(err)
		}
		o, _ := h.sinkKind.open(live)
		wantCondition(t, o.status.Conditions, "Ready", "False", "OpenFailed")
		opened = nil
		mended := objectStoreSink(nil) // by another leader
		mended.Status.ObservedGeneration = 1
		setVerdict(&mended.Status.Conditions, 1, kollectv1alpha1.ConditionReady, nil, reasonReady, "the sink is open")
		h.see(mended)
		h.kollect.PrependReactor("update", "kollectsinks", func(action clienttesting.Action) (bool, runtime.Object, error) {
			o := action.(clienttesting.UpdateAction).GetObject().(*kollectv1alpha1.KollectSink)
			t.Errorf("told %+v, want nothing: it is as the other leader said", o.Status)
			return true, o, nil
		})
		lead()
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
