package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// events returns what was told since the last time, each as type, reason and
// message.
func (h *harness) events() (events []string) {
	for {
		select {
		case e := <-h.recorder.Events:
			events = append(events, e)
		default:
			return events
		}
	}
}

func TestAnEventTellsOfAFailureAndNoneOfRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, sinks := leading(t, objectStoreSink(nil), func(*harness) {})
		of := func() []string {
			h.exported()
			return slices.DeleteFunc(h.events(), func(e string) bool { return !strings.Contains(e, "sink lake: ") })
		}
		if got := of(); len(got) != 0 {
			t.Errorf("events %q of a first export, want none", got)
		}
		changed := objectStoreSink(nil)
		changed.Generation = 2
		h.see(changed)
		sinks.fail(errors.New("connection refused"))
		h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
		pass(time.Second)
		var got []string
		for range 10 {
			got = append(got, of()...)
			pass(time.Minute)
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], "Warning SinkNotReady sink lake: ") || !strings.HasSuffix(got[0], "connection refused") {
			t.Errorf("events %q of ten minutes of failures, want one", got)
		}
		sinks.fail(nil)
		pass(2 * time.Minute)
		if got := append(of(), of()...); len(got) != 1 || got[0] != "Normal Exported sink lake: exports succeed again" {
			t.Errorf("events %q of what succeeds again, want one", got)
		}
	})
}

func TestOutcomesThatAreNews(t *testing.T) {
	fails := func(reason string) outcome { return outcome{sink: "lake", reason: reason, message: "the message"} }
	exported := outcome{sink: "lake", reason: "Exported", good: true}
	pending := fails("Pending")
	for _, tc := range []struct {
		name     string
		error    string // in the status of who led before
		outcomes []outcome
		want     []string
	}{
		{"a first success", "", []outcome{pending, exported, exported}, nil},
		{"a failure, tried again", "", []outcome{exported, fails("Failed"), fails("Failed")}, []string{"Failed"}},
		{"each turn for something else", "", []outcome{fails("Failed"), fails("Fenced"), exported, fails("MassDelete")}, []string{"Failed", "Fenced", "Exported", "MassDelete"}},
		{"a sink that is set up anew between", "", []outcome{fails("Failed"), pending, fails("Failed"), pending, exported}, []string{"Failed", "Exported"}},
		{"a failure that another process told of", "refused", []outcome{pending, fails("Failed"), fails("Failed")}, nil},
		{"the end of a failure that another process told of", "refused", []outcome{pending, exported}, []string{"Exported"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := outcomes{known: map[key]outcomesOf{}}
			meta := named("a", "apps")
			inv := inventoryObject{meta: &meta, status: &kollectv1alpha1.InventoryStatus{Sinks: []kollectv1alpha1.SinkStatus{{Name: "lake", LastError: tc.error}}}}
			var got []string
			for _, next := range tc.outcomes {
				for _, news := range o.note(inv, []outcome{next}) {
					got = append(got, news.reason)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("news %q, want %q", got, tc.want)
			}
		})
	}
}
