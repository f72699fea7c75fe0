package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
)

// freshnessInterval is how often a status is written in which nothing but the
// times of success at sinks changed.
const freshnessInterval = 5 * time.Minute

// reconcileInventoryStatus says what is known of an inventory: in its status,
// and in the head that is served. Who leads knows the sinks; others repeat what
// the status says.
func (c *Controller) reconcileInventoryStatus(_ context.Context, k key) error {
	o, exists := c.inventoryKind.lookup(k)
	term := c.leading.Load()
	if !exists {
		if term != nil {
			term.outcomes.forget(k)
		}
		return nil
	}
	ref := inventory.Ref(k)
	snapshot := c.store.State().Snapshot(ref)
	generation := o.meta.Generation
	problem := c.inventories.problem(k)
	if problem == nil && term != nil {
		problem = term.problem(k)
	}
	status := c.inventoryStatus.change(o, func(s *kollectv1alpha1.InventoryStatus) {
		s.ObservedGeneration = generation
		setVerdict(&s.Conditions, generation, kollectv1alpha1.ConditionReady, problem, reasonReady, "the snapshot is served")
		if snapshot != nil {
			s.Rows = int64(snapshot.Len())
			setHeadConditions(s, generation, snapshot.Head())
		}
		if term != nil {
			term.setExported(s, o)
			return
		}
		s.Generation, s.ContentHash, s.Sinks = o.status.Generation, o.status.ContentHash, o.status.Sinks
		if exported := meta.FindStatusCondition(o.status.Conditions, kollectv1alpha1.ConditionExported); exported != nil {
			meta.SetStatusCondition(&s.Conditions, *exported)
		}
	})
	if snapshot != nil {
		c.store.Update(func(tx *inventory.Tx) { tx.SetStatus(ref, headStatus(&status)) })
	}
	return nil
}

func setHeadConditions(s *kollectv1alpha1.InventoryStatus, generation int64, head *inventory.Head) {
	var waiting, stale []string
	for t := range head.Targets() {
		text := t.Target.String()
		if t.Message != "" {
			text += ": " + t.Message
		}
		if !t.Synced {
			waiting = append(waiting, text)
		}
		if t.Stale {
			stale = append(stale, text)
		}
	}
	if head.Synced() {
		setCondition(&s.Conditions, generation, kollectv1alpha1.ConditionSynced, metav1.ConditionTrue, reasonSynced,
			"the first list of every target is complete")
	} else {
		setCondition(&s.Conditions, generation, kollectv1alpha1.ConditionSynced, metav1.ConditionFalse, reasonNotSynced,
			"waiting for targets "+some(waiting, 3, "; "))
	}
	setStale(&s.Conditions, generation, head.Stale(), some(stale, 3, "; "))
}

// headStatus is the status that the head shows.
func headStatus(s *kollectv1alpha1.InventoryStatus) inventory.Status {
	status := inventory.Status{Generation: s.Generation}
	for i := range s.Sinks {
		sink := &s.Sinks[i]
		status.Sinks = append(status.Sinks, inventory.SinkState{
			Name: sink.Name, Generation: sink.Generation, Hash: sink.ContentHash, Rows: sink.Rows,
			LastSuccess: timeOf(sink.LastSuccessTime), LastError: sink.LastError, RetryTime: timeOf(sink.RetryTime),
		})
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		status.Conditions = append(status.Conditions, inventory.Condition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message,
			ObservedGeneration: c.ObservedGeneration, LastTransition: c.LastTransitionTime.UTC(),
		})
	}
	return status
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// metaTime is a time as a status keeps it: in whole seconds.
func metaTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	kept := metav1.NewTime(t.Truncate(time.Second).Local())
	return &kept
}

// setExported says what the sinks hold.
func (t *term) setExported(s *kollectv1alpha1.InventoryStatus, o inventoryObject) {
	k := keyOf(o.meta)
	states := map[string]export.State{}
	for _, state := range t.exporter.States(inventory.Ref(k)) {
		states[state.Name] = state
	}
	known := map[string]kollectv1alpha1.SinkStatus{}
	for _, sink := range o.status.Sinks {
		known[sink.Name] = sink
	}
	newest := t.generations.Newest(inventory.Ref(k), string(o.meta.UID))
	if newest.Number > s.Generation {
		s.Generation, s.ContentHash = newest.Number, newest.Hash.String()
	}
	s.Sinks = nil
	worst := worstOutcome{forgetting: forgetting(o)}
	for i := range o.spec.SinkRefs {
		ref := &o.spec.SinkRefs[i]
		if _, exists := t.controller.sinkKind.lookup(sinkOf(k, ref)); worst.forgetting && !exists {
			continue // it is not waited for
		}
		problem := t.sinks.problem(sinkOf(k, ref), t.controller.sinkKind)
		status := known[ref.Name]
		status.Name = ref.Name
		state, running := states[ref.Name]
		switch {
		case problem != nil:
			if running && state.Outcome != export.Pending { // to the sink as it was
				status = sinkStatus(&state)
			}
			status.LastError, status.RetryTime = problem.message, nil
			worst.add(ref.Name, problem.reason, problem.message, false)
		case !running || state.Outcome == export.Pending: // what was known stands
			worst.add(ref.Name, string(export.Pending), "the first attempt is under way", false)
		default:
			status = sinkStatus(&state)
			if state.Generation > s.Generation {
				s.Generation, s.ContentHash = state.Generation, state.Hash
			}
			worst.add(ref.Name, string(state.Outcome), state.LastError, good(state.Outcome))
		}
		s.Sinks = append(s.Sinks, status)
	}
	worst.set(s, o.meta.Generation)
	t.tell(o, worst.outcomes)
}

// good reports whether an outcome is what was wanted.
func good(o export.Outcome) bool {
	return o == export.Exported || o == export.Delayed || o == export.Forgotten
}

func sinkStatus(state *export.State) kollectv1alpha1.SinkStatus {
	return kollectv1alpha1.SinkStatus{
		Name: state.Name, Generation: state.Generation, ContentHash: state.Hash, Rows: state.Rows,
		LastSuccessTime: metaTime(state.LastSuccess), LastError: state.LastError, RetryTime: metaTime(state.RetryTime),
	}
}

// worstOutcome makes one condition of what happened at the sinks.
type worstOutcome struct {
	forgetting bool // what was exported is being removed
	reason     string
	messages   []string
	outcomes   []outcome // of all sinks
}

func (w *worstOutcome) add(sink, reason, message string, good bool) {
	w.outcomes = append(w.outcomes, outcome{sink, reason, message, good})
	if good {
		return
	}
	if w.reason == "" || w.reason == string(export.Pending) {
		w.reason = reason
	}
	w.messages = append(w.messages, fmt.Sprintf("sink %s: %s", sink, message))
}

func (w *worstOutcome) set(s *kollectv1alpha1.InventoryStatus, generation int64) {
	name := kollectv1alpha1.ConditionExported
	known := meta.FindStatusCondition(s.Conditions, name)
	switch {
	case w.forgetting:
		reason := w.reason
		if reason == "" || reason == string(export.Pending) {
			reason = reasonForgetting
		}
		setCondition(&s.Conditions, generation, name, metav1.ConditionFalse, reason, describeForgetting+strings.Join(w.messages, "; "))
	case len(w.outcomes) == 0:
		setCondition(&s.Conditions, generation, name, metav1.ConditionTrue, reasonNoSinks, "spec.sinkRefs names no sink: there is nothing to export")
	case w.reason == "":
		setCondition(&s.Conditions, generation, name, metav1.ConditionTrue, reasonExported, "every sink holds the newest content that it was offered")
	case w.reason == string(export.Pending) && known != nil && known.Status == metav1.ConditionTrue && known.ObservedGeneration == generation:
		// A process that begins to lead says nothing worse before it knows.
	default:
		setCondition(&s.Conditions, generation, name, metav1.ConditionFalse, w.reason, strings.Join(w.messages, "; "))
	}
}

// freshness is how long a change of a status may wait in which nothing but the
// times of success at sinks changed, and nothing for any other.
func freshness(from, to *kollectv1alpha1.InventoryStatus) time.Duration {
	a, b := *from, *to
	a.Sinks, b.Sinks = nil, nil
	if len(from.Sinks) != len(to.Sinks) || !sameStatus(&a, &b) {
		return 0
	}
	var oldest time.Duration
	for i := range from.Sinks {
		x, y := from.Sinks[i], to.Sinks[i]
		if x.LastSuccessTime == nil || y.LastSuccessTime == nil {
			return 0
		}
		oldest = max(oldest, y.LastSuccessTime.Sub(x.LastSuccessTime.Time))
		x.LastSuccessTime, y.LastSuccessTime = nil, nil
		if x.Generation != y.Generation || x.ContentHash != y.ContentHash || x.Rows != y.Rows || x.LastError != y.LastError || !x.RetryTime.Equal(y.RetryTime) {
			return 0
		}
	}
	return freshnessInterval - oldest
}
