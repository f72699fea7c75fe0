package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"kollect.io/kollect/pkg/inventory"
)

var configMaps = &resolved{Resource: inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}, namespaced: true}

// judge is an API server that answers access reviews.
type judge struct {
	*access
	mu      sync.Mutex // guards what follows
	allowed map[string]bool
	reason  string // of denials
	err     error
	asked   []string // namespaces, once a verb
	told    []key
}

func newJudge(t *testing.T) *judge {
	j := &judge{allowed: map[string]bool{}}
	client := kubernetesfake.NewClientset()
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		j.mu.Lock()
		defer j.mu.Unlock()
		if review.Spec.User != "system:serviceaccount:a:collector" || !slices.Contains(review.Spec.Groups, "system:serviceaccounts:a") {
			t.Errorf("asked for %s in %v", review.Spec.User, review.Spec.Groups)
		}
		attributes := review.Spec.ResourceAttributes
		j.asked = append(j.asked, attributes.Verb+" "+attributes.Namespace)
		review.Status.Allowed = j.allowed[attributes.Namespace]
		if !review.Status.Allowed {
			review.Status.EvaluationError = j.reason
		}
		return true, review, j.err
	})
	j.access = newAccess(client.AuthorizationV1().SubjectAccessReviews(), time.Minute, 5*time.Second, func(k key) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.told = append(j.told, k)
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return j
}

func (j *judge) set(change func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change()
}

func (j *judge) of(namespaces ...string) string {
	v := j.judge(key{"a", "target"}, key{"a", "collector"}, configMaps, namespaces)
	synctest.Wait()
	return fmt.Sprintf("permitted %v denied %v unknown %v", v.permitted, v.denied, v.unknown)
}

func (j *judge) want(t *testing.T, want string, namespaces ...string) {
	t.Helper()
	if got := j.of(namespaces...); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
}

func TestADenialCountsWhenItIsGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJudge(t)
		j.set(func() { j.allowed["x"] = true })
		j.want(t, "permitted map[] denied [] unknown [x y]", "x", "y")
		j.want(t, "permitted map[x:true] denied [] unknown [y]", "x", "y")
		pass(6 * time.Second)
		j.want(t, "permitted map[x:true] denied [y] unknown []", "x", "y")
		if !slices.Equal(j.told, []key{{"a", "target"}, {"a", "target"}}) {
			t.Errorf("told of news: %v", j.told)
		}
		j.set(func() { j.allowed["x"], j.allowed["y"] = false, true })
		pass(56 * time.Second) // x is asked again, and denied once
		j.want(t, "permitted map[x:true] denied [y] unknown []", "x", "y")
		pass(6 * time.Second)
		j.want(t, "permitted map[y:true] denied [x] unknown []", "x", "y")
	})
}

func TestADenialThatIsTakenBackTakesNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJudge(t)
		j.set(func() { j.allowed["x"] = true })
		j.of("x")
		j.set(func() { j.allowed["x"] = false })
		pass(61 * time.Second)
		j.set(func() { j.allowed["x"] = true })
		pass(5 * time.Minute)
		j.want(t, "permitted map[x:true] denied [] unknown []", "x")
		if len(j.told) != 1 {
			t.Errorf("told %d times, want once", len(j.told))
		}
	})
}

func TestFailingReviewsTakeNothingAway(t *testing.T) {
	for name, fail := range map[string]func(*judge){
		"the API server is down": func(j *judge) { j.err = errors.New("connection refused") },
		"an authorizer is down":  func(j *judge) { j.allowed["x"], j.reason = false, "webhook: connection refused" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJudge(t)
				j.set(func() { j.allowed["x"] = true })
				j.of("x")
				j.set(func() { fail(j) })
				pass(10 * time.Minute)
				j.want(t, "permitted map[x:true] denied [] unknown []", "x")
				j.want(t, "permitted map[x:true] denied [] unknown [new]", "x", "new")
				pass(10 * time.Minute)
				j.want(t, "permitted map[x:true] denied [] unknown [new]", "x", "new")
			})
		})
	}
}

func TestManyNamespacesAreAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJudge(t)
		j.set(func() { j.allowed[""] = true })
		many := []string{"n1", "n2", "n3", "n4", "n5", "n6"}
		j.of(many...)
		j.want(t, "permitted map[n1:true n2:true n3:true n4:true n5:true n6:true] denied [] unknown []", many...)
		if want := []string{"list ", "watch "}; !slices.Equal(j.asked, want) {
			t.Errorf("asked %q, want %q", j.asked, want)
		}
		j.set(func() { j.allowed = map[string]bool{"n3": true} })
		pass(70 * time.Second)
		j.of(many...)
		pass(6 * time.Second)
		j.want(t, "permitted map[n3:true] denied [n1 n2 n4 n5 n6] unknown []", many...)
	})
}

func TestQuestionsAreSharedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJudge(t)
		j.set(func() { j.allowed["x"] = true })
		for i := range 10 {
			j.judge(key{"a", fmt.Sprint("target-", i)}, key{"a", "collector"}, configMaps, []string{"x"})
		}
		synctest.Wait()
		if len(j.asked) != 2 {
			t.Errorf("asked %v, want list and watch once", j.asked)
		}
		for i := range 10 {
			j.forget(key{"a", fmt.Sprint("target-", i)})
		}
		pass(10 * time.Minute)
		if len(j.asked) != 2 || len(j.answers) != 0 || len(j.access.asked) != 0 {
			t.Errorf("asked %v, answers %v after all was forgotten", j.asked, j.answers)
		}
	})
}
