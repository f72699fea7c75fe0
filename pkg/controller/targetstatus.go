package controller

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/inventory"
)

// reconcileTargetStatus says what is known of a target.
func (c *Controller) reconcileTargetStatus(_ context.Context, k key) error {
	o, exists := c.targetKind.lookup(k)
	t := c.targets.get(k)
	if !exists || t == nil || t.uid != string(o.meta.UID) {
		return nil
	}
	ref := inventory.TargetRef(k)
	state := &inventory.TargetState{}
	c.store.Update(func(tx *inventory.Tx) {
		if known := tx.TargetState(ref); known != nil {
			state = known
		}
	})
	failures := c.collector.Failures(ref)
	generation := o.meta.Generation
	before := o.status
	after := c.targetStatus.change(o, func(s *kollectv1alpha1.TargetStatus) {
		s.ObservedGeneration, s.Resource, s.Rows = generation, t.resource, int64(state.Rows)
		setTargetReady(s, o, t)
		if state.Synced {
			setCondition(&s.Conditions, generation, kollectv1alpha1.ConditionSynced, metav1.ConditionTrue, reasonSynced, "the rows are all rows")
		} else {
			setCondition(&s.Conditions, generation, kollectv1alpha1.ConditionSynced, metav1.ConditionFalse, reasonNotSynced,
				cmp.Or(state.Message, "waiting for the first list"))
		}
		setStale(&s.Conditions, generation, state.Stale, state.Message)
		setVerdict(&s.Conditions, generation, kollectv1alpha1.ConditionExtracted, failed(failures),
			reasonExtracted, "every required attribute of every object has a value")
	})
	if len(transitions(before.Conditions, after.Conditions)) > 0 {
		if profile, problem := profileOf(o); problem == nil {
			c.profileQueue.AddAfter(profile, statusDelay)
		}
	}
	return nil
}

func setTargetReady(s *kollectv1alpha1.TargetStatus, o targetObject, t *target) {
	ready := cmp.Or(t.problem, t.partly)
	switch {
	case ready != nil && ready.reason == reasonAccessUnknown:
		setCondition(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionReady, metav1.ConditionUnknown, ready.reason, ready.message)
		return
	case ready == nil && o.spec.Suspend:
		ready = problemf(reasonSuspended, "spec.suspend is true: the last rows are kept; set it to false to go on")
	}
	setVerdict(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionReady, ready, reasonReady, "the target is collected")
}

func setStale(conditions *[]metav1.Condition, generation int64, stale bool, message string) {
	if stale {
		setCondition(conditions, generation, kollectv1alpha1.ConditionStale, metav1.ConditionTrue, reasonStale,
			cmp.Or(message, "the source can not be watched; the last rows are kept"))
		return
	}
	setCondition(conditions, generation, kollectv1alpha1.ConditionStale, metav1.ConditionFalse, reasonFresh, "the source is watched")
}

// failed says which attributes have no value in which objects, or nil.
func failed(failures []collect.Failure) *problem {
	if len(failures) == 0 {
		return nil
	}
	var messages []string
	for _, f := range failures {
		where := fmt.Sprintf("in %d objects", f.Objects)
		if f.Name != "" {
			where += ", such as " + key{f.Namespace, f.Name}.String()
		}
		messages = append(messages, f.Message+" ("+where+")")
	}
	return &problem{reason: string(failures[0].Reason), message: strings.Join(messages, "; ")}
}

// failingAttributes returns, for each target of a profile in which attributes
// have no value, what they are.
func (c *Controller) failingAttributes(profile key) []*problem {
	var failing []*problem
	for _, o := range c.targetsOf(profile) {
		if p := failed(c.collector.Failures(inventory.TargetRef(keyOf(o.meta)))); p != nil {
			p.message = fmt.Sprintf("%s %s: %s", c.targetKind.nameOf(keyOf(o.meta)), keyOf(o.meta), p.message)
			failing = append(failing, p)
		}
	}
	return failing
}

// targetsOf returns the targets that use a profile.
func (c *Controller) targetsOf(profile key) []targetObject {
	candidates := c.targetKind.all
	if profile.Namespace != "" {
		candidates = func() []targetObject { return c.targetKind.in(profile.Namespace) }
	}
	var users []targetObject
	for _, o := range candidates() {
		if k, problem := profileOf(o); problem == nil && k == profile {
			users = append(users, o)
		}
	}
	return users
}

func (c *Controller) enqueueTargetsOf(profile key) {
	for _, o := range c.targetsOf(profile) {
		c.targetQueue.Add(keyOf(o.meta))
	}
}
