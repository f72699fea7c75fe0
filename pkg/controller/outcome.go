package controller

import (
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
)

// outcomes remembers how each inventory fares at each of its sinks, to tell of
// what becomes of that: one event when it changes, and none for another try. It is
// safe for concurrent use.
type outcomes struct {
	mu    sync.Mutex // guards known
	known map[key]outcomesOf
}

// outcomesOf is that of one inventory.
type outcomesOf struct {
	uid     types.UID
	reasons map[string]string // by sink; empty is good
}

// outcome is how an inventory fares at a sink.
type outcome struct {
	sink, reason, message string
	good                  bool
}

// passed is the reason of what failed under a process that led before.
const passed = "passed"

// note returns which of the outcomes, of all of the inventory's sinks, are news.
// Who begins to lead goes on from what the status says.
func (o *outcomes) note(inv inventoryObject, now []outcome) []outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	before, seen := o.known[keyOf(inv.meta)]
	if !seen || before.uid != inv.meta.UID {
		before = outcomesOf{uid: inv.meta.UID, reasons: reasonsOf(inv.status)}
	}
	after := outcomesOf{uid: inv.meta.UID, reasons: map[string]string{}}
	var news []outcome
	for _, next := range now {
		was := before.reasons[next.sink]
		if next.reason == string(export.Pending) { // nobody knows yet
			after.reasons[next.sink] = was
			continue
		}
		is := next.reason
		if next.good {
			is = ""
		}
		after.reasons[next.sink] = is
		if was != is && (was != passed || is == "") {
			news = append(news, next)
		}
	}
	o.known[keyOf(inv.meta)] = after
	return news
}

// reasonsOf returns what a status tells: whether there was an error.
func reasonsOf(status *kollectv1alpha1.InventoryStatus) map[string]string {
	reasons := map[string]string{}
	for i := range status.Sinks {
		if sink := &status.Sinks[i]; sink.LastError != "" {
			reasons[sink.Name] = passed
		}
	}
	return reasons
}

// forget drops what is known of an inventory that is gone.
func (o *outcomes) forget(k key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.known, k)
}

// tell writes an event for each outcome that is news.
func (t *term) tell(inv inventoryObject, now []outcome) {
	for _, n := range t.outcomes.note(inv, now) {
		kind, message := corev1.EventTypeWarning, n.message
		if n.good {
			kind, message = corev1.EventTypeNormal, "exports succeed again"
		}
		t.controller.recorder.Event(inv.object, kind, n.reason, clip(fmt.Sprintf("sink %s: %s", n.sink, message)))
	}
}
