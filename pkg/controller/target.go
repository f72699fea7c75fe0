package controller

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/collect"
	"kollect.io/kollect/pkg/extract"
	"kollect.io/kollect/pkg/inventory"
)

// collector is what collects. It is a [collect.Collector].
type collector interface {
	SetTarget(collect.Target)
	RemoveTarget(inventory.TargetRef)
	Failures(inventory.TargetRef) []collect.Failure
}

var _ collector = &collect.Collector{}

const (
	profileKindName        = "KollectProfile"
	clusterProfileKindName = "KollectClusterProfile"
)

// target is what is known of a target. It never changes.
type target struct {
	uid      string
	applied  *collect.Target // what the collector was told last, or nil
	digest   string          // of applied
	resource string
	// permissions are the namespaces that applied permits, if it is bounded: of
	// what is of account.
	permissions []string
	account     key
	of          *resolved // nil unless it is bounded
	// problem says why the target is not collected as it says.
	problem *problem
	// partly is a problem with some of what the target selects.
	partly *problem
}

// targets holds what is known of targets. It is safe for concurrent use.
type targets struct {
	mu    sync.Mutex // guards what follows
	byKey map[key]*target
}

func (t *targets) get(k key) *target {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byKey[k]
}

func (t *targets) set(k key, next *target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if next == nil {
		delete(t.byKey, k)
	} else {
		t.byKey[k] = next
	}
}

// profileOf returns the key of the profile that a target names.
func profileOf(o targetObject) (key, *problem) {
	ref := o.spec.ProfileRef
	if o.meta.Namespace == "" {
		if ref.Kind != "" && ref.Kind != clusterProfileKindName {
			return key{}, problemf(reasonInvalidSpec, "spec.profileRef.kind: %s can not be used by a cluster target: use a %s", ref.Kind, clusterProfileKindName)
		}
		return key{Name: ref.Name}, nil
	}
	if ref.Kind == clusterProfileKindName {
		return key{Name: ref.Name}, nil
	}
	return key{o.meta.Namespace, ref.Name}, nil
}

// accountOf returns the service account that bounds a namespaced target.
func accountOf(o targetObject) key {
	return key{o.meta.Namespace, cmp.Or(o.spec.ServiceAccountName, "default")}
}

// reconcileTarget tells the collector what a target says.
func (c *Controller) reconcileTarget(_ context.Context, k key) error {
	ref := inventory.TargetRef(k)
	o, exists := c.targetKind.lookup(k)
	if !exists {
		c.deselect(k)
		c.collector.RemoveTarget(ref)
		c.store.Update(func(tx *inventory.Tx) { tx.RemoveTarget(ref) })
		c.access.forget(k)
		c.targets.set(k, nil)
		c.targetStatus.forget(k)
		return nil
	}
	before := c.targets.get(k)
	if before == nil || before.uid != string(o.meta.UID) {
		if before != nil { // what another target of that name had is not this one's
			c.collector.RemoveTarget(ref)
		}
		before = &target{}
	}
	next := *before
	next.uid, next.partly = string(o.meta.UID), nil
	plan, problem := c.plan(o, &next)
	next.problem = problem
	switch {
	case problem == nil:
		next.apply(c.collector, plan)
	case before.applied != nil && problem.reason == reasonAccessUnknown:
		// What was permitted stands until it is known to be otherwise.
	case before.applied != nil:
		c.hold(o, &next)
	default:
		c.store.Update(func(tx *inventory.Tx) {
			tx.SetTargetState(ref, inventory.TargetState{Message: clip(problem.message)})
		})
	}
	c.targets.set(k, &next)
	c.targetStatusQueue.Add(k)
	return nil
}

// hold suspends what the collector was told last, because of the target's
// problem. What the service account may not read any more is dropped all the
// same, and so are rows of Secrets that no profile allows any more.
func (c *Controller) hold(o targetObject, t *target) {
	held := *t.applied
	held.Suspend, held.SuspendReason = true, t.problem.message
	switch {
	case areSecrets(t.applied.Resource) && !c.allowsSecretValues(o):
		t.permit(&held, nil)
	case t.of != nil:
		v := c.access.judge(keyOf(o.meta), t.account, t.of, t.permissions)
		t.permit(&held, v.permittedOr(t.permissions))
	}
	t.apply(c.collector, &held)
}

// permit bounds a plan by the namespaces.
func (t *target) permit(plan *collect.Target, permitted map[string]bool) {
	plan.Permitted = func(namespace string) bool { return permitted[namespace] }
	t.permissions = slices.Sorted(maps.Keys(permitted))
}

// apply tells the collector, if it is anything new.
func (t *target) apply(collector collector, plan *collect.Target) {
	digest := fmt.Sprint(plan.Resource, plan.Namespaced, plan.Revision, plan.Namespaces, plan.Columns, plan.Suspend, plan.SuspendReason)
	digest += fmt.Sprintf("%t %q", plan.Permitted != nil, t.permissions)
	if t.applied != nil && t.digest == digest {
		return
	}
	t.applied, t.digest = plan, digest
	collector.SetTarget(*plan)
}

// plan returns what the collector is to be told, or why not.
func (c *Controller) plan(o targetObject, next *target) (*collect.Target, *problem) {
	profileKey, problem := profileOf(o)
	if problem != nil {
		return nil, problem
	}
	p := c.profiles.get(profileKey)
	switch {
	case p == nil:
		if _, exists := c.profileKind.lookup(profileKey); exists {
			return nil, problemf(reasonProfileNotReady, "spec.profileRef: %s %s is about to be compiled", c.profileKind.nameOf(profileKey), profileKey)
		}
		return nil, problemf(reasonProfileNotFound, "spec.profileRef: there is no %s %s: create it, or correct the reference",
			c.profileKind.nameOf(profileKey), profileKey)
	case p.resource == nil:
		return nil, problemf(reasonProfileNotReady, "spec.profileRef: %s %s can not be used: %s", c.profileKind.nameOf(profileKey), profileKey, p.problem.message)
	}
	next.resource = p.resource.String()
	plan := &collect.Target{
		Ref:        inventory.TargetRef(keyOf(o.meta)),
		Resource:   &p.resource.Resource,
		Namespaced: p.resource.namespaced,
		Extract:    p.extract,
		Names:      o.spec.Names,
		Columns:    p.extract.Columns(),
		Suspend:    o.spec.Suspend,
	}
	if plan.Suspend {
		plan.SuspendReason = "the target is suspended: set spec.suspend to false to go on"
	}
	if plan.Labels, problem = parseSelector("spec.selector", o.spec.Selector); problem != nil {
		return nil, problem
	}
	if o.spec.Match != "" {
		match, err := extract.CompileMatch(o.spec.Match)
		if err != nil {
			return nil, problemf(reasonInvalidExpression, "%v", err)
		}
		plan.Match = match
	}
	plan.Revision = revision(p, o.spec)
	if plan.Namespaces, problem = parseNamespaces(o.spec.Namespaces, o.meta.Namespace); problem != nil {
		return nil, problem
	}
	if o.meta.Namespace == "" { // with the server's own rights
		return plan, nil
	}
	return plan, c.permit(o, p.resource, plan, next)
}

// permit bounds a plan by what the target's service account may read.
func (c *Controller) permit(o targetObject, r *resolved, plan *collect.Target, next *target) *problem {
	namespaces := []string{""}
	if r.namespaced {
		namespaces = plan.Namespaces.Selected(c.namespaces.each)
	}
	account := accountOf(o)
	v := c.access.judge(keyOf(o.meta), account, r, namespaces)
	unknown := v.ignorance(account, r)
	// At first, and for another account or resource, all must be known: a target
	// without some of its namespaces would take their rows away.
	applied := next.applied != nil && next.account == account && equal(next.of, r)
	if unknown != nil && !applied {
		return unknown
	}
	next.permit(plan, v.permittedOr(next.permissions))
	next.account, next.of = account, r
	next.partly = denial(account, r, v, len(namespaces))
	if next.partly == nil && v.err != nil { // else it is about to be known
		next.partly = unknown
	}
	return nil
}

// ignorance says that it is not known yet what a service account may read.
func (v *verdict) ignorance(account key, r *resolved) *problem {
	switch {
	case len(v.unknown) == 0:
		return nil
	case v.err != nil:
		where := ""
		if r.namespaced {
			where = " in " + some(v.unknown, 5, ", ")
		}
		return problemf(reasonAccessUnknown, "spec.serviceAccountName: whether %s may read %s%s is not known: %v", account, r, where, v.err)
	}
	return problemf(reasonAccessUnknown, "spec.serviceAccountName: whether %s may read %s is being asked", account, r)
}

// denial says what a service account may not read, and the mend.
func denial(account key, r *resolved, v verdict, selected int) *problem {
	if len(v.denied) == 0 {
		return nil
	}
	reason := reasonPartlyForbidden
	if len(v.denied) == selected {
		reason = reasonForbidden
	}
	rule := fmt.Sprintf("{apiGroups: [%q], resources: [%q], verbs: [list, watch]}", r.Group, r.Resource.Resource)
	if !r.namespaced {
		return problemf(reason, "spec.serviceAccountName: service account %s may not list and watch %s: "+
			"bind it by a ClusterRoleBinding to a ClusterRole with the rule %s", account, r.Resource.Resource, rule)
	}
	return problemf(reason, "spec.serviceAccountName: service account %s may not list and watch %s in %s: "+
		"in each of them, bind it by a RoleBinding to a Role with the rule %s", account, r.Resource.Resource, some(v.denied, 5, ", "), rule)
}

// revision stands for what a target's rows are made by.
func revision(p *profile, spec *kollectv1alpha1.TargetSpec) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %q %q %v", p.uid, p.generation, spec.Match, spec.Names, spec.Selector))
	return fmt.Sprintf("%x", sum[:16])
}
