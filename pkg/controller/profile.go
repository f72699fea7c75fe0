package controller

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/extract"
)

// resolveInterval is how often resources are looked for that do not exist yet.
const resolveInterval = 10 * time.Second

// profile is a profile that was compiled. It never changes.
type profile struct {
	uid        string
	generation int64
	resource   *resolved // nil while there is a problem from the start
	former     *resolved // the last that was found, for any generation
	extract    *extract.Profile
	// problem says why targets can't use the profile.
	problem *problem
	// failures are the attributes that do not compile; the others are in use.
	failures []extract.AttributeError
	// missing says that the resource is to be looked for again.
	missing bool
}

// profiles holds the compiled profiles. It is safe for concurrent use.
type profiles struct {
	mu    sync.Mutex // guards byKey
	byKey map[key]*profile
}

func (p *profiles) get(k key) *profile {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[k]
}

func (p *profiles) set(k key, next *profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next == nil {
		delete(p.byKey, k)
	} else {
		p.byKey[k] = next
	}
}

// missing returns the keys of profiles whose resource is to be looked for.
func (p *profiles) missing() []key {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []key
	for k, profile := range p.byKey {
		if profile.missing {
			keys = append(keys, k)
		}
	}
	return keys
}

// reconcileProfile compiles a profile, once a revision, and resolves its resource.
func (c *Controller) reconcileProfile(_ context.Context, k key) error {
	o, exists := c.profileKind.lookup(k)
	if !exists {
		c.profiles.set(k, nil)
		c.profileStatus.forget(k)
		c.enqueueTargetsOf(k)
		return nil
	}
	before := c.profiles.get(k)
	var former *resolved
	if before != nil && before.uid == string(o.meta.UID) {
		former = before.former
	}
	if before != nil && (before.uid != string(o.meta.UID) || before.generation != o.meta.Generation) {
		before = nil
	}
	next := &profile{uid: string(o.meta.UID), generation: o.meta.Generation}
	if before != nil {
		next.extract, next.failures = before.extract, before.failures
	} else {
		next.extract, next.failures = extract.Compile(o.spec.Attributes)
	}
	found, problem, err := c.resolve(o.spec.Resource, former)
	if found != nil {
		if problem = refuseSecrets(o.spec, found); problem != nil {
			found = nil
		}
	}
	switch {
	case err != nil && before != nil && before.resource != nil:
		return err // what was found stays
	case err != nil:
		next.problem, next.missing = problemf(reasonDiscoveryFailed, "spec.resource: %v; it is tried again every %s", err, resolveInterval), true
	default:
		next.resource, next.problem = found, problem
		next.missing = problem != nil && problem.reason == reasonResourceNotFound
	}
	if next.resource == nil && before != nil && next.missing {
		// The resource went. Its targets keep what they have, and the collector
		// says that it is stale.
		next.resource = before.resource
	}
	next.former = cmp.Or(next.resource, former)
	c.profiles.set(k, next)
	c.setProfileStatus(o, next)
	if before == nil || !equal(before.problem, next.problem) || !equal(before.resource, next.resource) {
		c.enqueueTargetsOf(k)
	}
	return nil
}

// resolve resolves a profile's resource. One that names no version stays with
// the version that it had for as long as that is served: another version is
// another resource to the collector, which drops the rows of the former.
func (c *Controller) resolve(ref kollectv1alpha1.ResourceReference, former *resolved) (*resolved, *problem, error) {
	if ref.Version == "" && former != nil && former.Group == ref.Group && former.Kind == ref.Kind {
		same := ref
		same.Version = former.Version
		if found, problem, err := c.resolver.resolve(same); err != nil || problem == nil {
			return found, nil, err
		}
	}
	return c.resolver.resolve(ref)
}

// equal reports whether both are nil or point to equal values.
func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// setProfileStatus says what is known of a profile.
func (c *Controller) setProfileStatus(o profileObject, p *profile) {
	ready := p.problem
	if ready == nil && len(p.failures) > 0 {
		ready = &problem{reason: string(p.failures[0].Reason), message: joinFailures(p.failures)}
	}
	failing := c.failingAttributes(keyOf(o.meta))
	c.profileStatus.change(o, func(s *kollectv1alpha1.ProfileStatus) {
		s.ObservedGeneration, s.Resource = o.meta.Generation, ""
		if p.resource != nil {
			s.Resource = p.resource.String()
		}
		setVerdict(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionReady, ready,
			reasonReady, "the expressions compile and the resource exists")
		setSecretValues(&s.Conditions, o.meta.Generation, p)
		switch {
		case len(p.failures) > 0:
			setCondition(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionExtracted, metav1.ConditionFalse,
				string(p.failures[0].Reason), joinFailures(p.failures))
		case len(failing) > 0:
			setCondition(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionExtracted, metav1.ConditionFalse,
				failing[0].reason, failing[0].message)
		default:
			setCondition(&s.Conditions, o.meta.Generation, kollectv1alpha1.ConditionExtracted, metav1.ConditionTrue,
				reasonExtracted, "every required attribute of every object has a value")
		}
	})
}

func joinFailures(failures []extract.AttributeError) string {
	messages := make([]string, 0, len(failures))
	for _, f := range failures {
		messages = append(messages, f.Message)
	}
	return strings.Join(messages, "; ")
}

// lookForResources asks again for resources that do not exist, while there are
// any.
func (c *Controller) lookForResources(ctx context.Context) {
	ticker := time.NewTicker(resolveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		missing := c.profiles.missing()
		if len(missing) == 0 {
			continue
		}
		c.resolver.reset()
		for _, k := range missing {
			c.profileQueue.Add(k)
		}
	}
}
