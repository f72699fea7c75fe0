package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// question is whether a service account may list and watch a resource in a
// namespace, or with none in all of them.
type question struct {
	account                  key
	group, version, resource string
	namespace                string
}

// answer is what is known of a question.
type answer struct {
	askers map[key]bool // targets
	// known is false until the API server answered; what it answered stands
	// until it answers something else.
	known, allowed bool
	// denied is when the newest denials in a row began; one alone does not count,
	// since an API server that just started denies what it will allow.
	denied time.Time
	err    error
}

const (
	// accessWorkers bounds how many questions are asked at a time.
	accessWorkers = 8
	// clusterWideFrom is for how many namespaces it is asked first whether the
	// account may read all of them.
	clusterWideFrom = 5
)

// access asks what service accounts may read, again and again, and tells targets
// of other answers. It is safe for concurrent use.
type access struct {
	client   authorizationclient.SubjectAccessReviewInterface
	interval time.Duration // between two times that a question is asked
	confirm  time.Duration // until a denial is asked again
	changed  func(target key)
	queue    workqueue.TypedRateLimitingInterface[question]

	mu      sync.Mutex // guards what follows
	answers map[question]*answer
	asked   map[key]map[question]bool // by target
}

func newAccess(client authorizationclient.SubjectAccessReviewInterface, interval, confirm time.Duration, changed func(key)) *access {
	return &access{
		client: client, interval: interval, confirm: confirm, changed: changed,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[question](time.Second, time.Minute),
			workqueue.TypedRateLimitingQueueConfig[question]{Name: "access"}),
		answers: map[question]*answer{},
		asked:   map[key]map[question]bool{},
	}
}

// verdict is what a target may read.
type verdict struct {
	permitted map[string]bool
	denied    []string // namespaces, in the order in which they were given
	unknown   []string
	err       error // why they are
}

// permittedOr returns what is permitted: what is known to be, and of what is not
// known that which was before.
func (v *verdict) permittedOr(before []string) map[string]bool {
	permitted := maps.Clone(v.permitted)
	for _, namespace := range v.unknown {
		if slices.Contains(before, namespace) {
			permitted[namespace] = true
		}
	}
	return permitted
}

// judge returns what a service account may read of a resource in the namespaces,
// as far as it is known, and asks the rest for the target, which is told.
func (a *access) judge(target, account key, r *resolved, namespaces []string) verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.asked[target]
	now := map[question]bool{}
	a.asked[target] = now
	v := verdict{permitted: map[string]bool{}}
	q := question{account: account, group: r.Group, version: r.Version, resource: r.Resource.Resource}
	wide := false
	if len(namespaces) >= clusterWideFrom {
		all := a.want(target, q, now)
		if !all.known {
			v.unknown, v.err = namespaces, all.err
			a.release(target, before, now)
			return v
		}
		wide = all.allowed
	}
	for _, namespace := range namespaces {
		if wide {
			v.permitted[namespace] = true
			continue
		}
		q.namespace = namespace
		switch one := a.want(target, q, now); {
		case !one.known:
			v.unknown = append(v.unknown, namespace)
			if one.err != nil {
				v.err = one.err
			}
		case one.allowed:
			v.permitted[namespace] = true
		default:
			v.denied = append(v.denied, namespace)
		}
	}
	a.release(target, before, now)
	return v
}

// forget drops what was asked for a target that is gone.
func (a *access) forget(target key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.release(target, a.asked[target], nil)
	delete(a.asked, target)
}

// want returns what is known of a question, and asks it if it is new.
func (a *access) want(target key, q question, now map[question]bool) *answer {
	now[q] = true
	known := a.answers[q]
	if known == nil {
		known = &answer{askers: map[key]bool{}}
		a.answers[q] = known
		a.queue.Add(q)
	}
	known.askers[target] = true
	return known
}

// release forgets the questions that the target does not ask any more.
func (a *access) release(target key, before, now map[question]bool) {
	for q := range before {
		if known := a.answers[q]; known != nil && !now[q] {
			delete(known.askers, target)
			if len(known.askers) == 0 {
				delete(a.answers, q)
			}
		}
	}
}

// run asks until ctx ends.
func (a *access) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range accessWorkers {
		wg.Go(func() {
			for a.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	a.queue.ShutDown()
	wg.Wait()
}

func (a *access) next(ctx context.Context) bool {
	q, ended := a.queue.Get()
	if ended {
		return false
	}
	defer a.queue.Done(q)
	a.mu.Lock()
	wanted := a.answers[q] != nil
	a.mu.Unlock()
	if !wanted {
		a.queue.Forget(q)
		return true
	}
	allowed, err := a.ask(ctx, q)
	if ctx.Err() != nil {
		return true
	}
	again := a.note(q, allowed, err)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Access review failed and is tried again", "account", q.account, "resource", q.resource, "err", err)
		a.queue.AddRateLimited(q)
		return true
	}
	a.queue.Forget(q)
	a.queue.AddAfter(q, again)
	return true
}

// note takes in an answer, and returns when to ask again.
func (a *access) note(q question, allowed bool, err error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.answers[q]
	if known == nil {
		return a.interval
	}
	news := false
	switch {
	case err != nil:
		news = !known.known && (known.err == nil || known.err.Error() != err.Error())
		known.err = err
	case allowed:
		news = !known.known || !known.allowed
		known.known, known.allowed, known.denied, known.err = true, true, time.Time{}, nil
	case known.known && !known.allowed:
		known.err = nil
	case known.denied.IsZero() || time.Since(known.denied) < a.confirm:
		if known.denied.IsZero() {
			known.denied = time.Now()
		}
		known.err = nil
		return a.confirm
	default:
		news = true
		known.known, known.allowed, known.err = true, false, nil
	}
	if news {
		for target := range known.askers {
			a.changed(target)
		}
	}
	return a.interval
}

// ask asks the API server.
func (a *access) ask(ctx context.Context, q question) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, verb := range []string{"list", "watch"} {
		review, err := a.client.Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "system:serviceaccount:" + q.account.Namespace + ":" + q.account.Name,
				Groups: []string{
					"system:serviceaccounts",
					"system:serviceaccounts:" + q.account.Namespace,
					"system:authenticated",
				},
				ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: verb, Group: q.group, Version: q.version, Resource: q.resource, Namespace: q.namespace,
				},
			},
		}, metav1.CreateOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return false, errors.New("the server may not ask for access reviews: give it the verb create on subjectaccessreviews.authorization.k8s.io")
		case err != nil:
			return false, fmt.Errorf("ask for an access review: %w", err)
		case !review.Status.Allowed && review.Status.EvaluationError != "":
			return false, fmt.Errorf("the access review failed: %s", review.Status.EvaluationError)
		case !review.Status.Allowed:
			return false, nil
		}
	}
	return true, nil
}
