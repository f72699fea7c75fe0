package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// statusInterval is the least time between two writes of a status in which no
// condition changed.
const statusInterval = 10 * time.Second

// statuses keeps what the statuses of a kind should be and, while this process
// leads, writes them. It is safe for concurrent use.
type statuses[Spec, Status any] struct {
	kind *kind[Spec, Status]
	// event tells of the transition of a condition.
	event func(runtime.Object, transition)
	// due returns how long a change may wait beyond statusInterval, which no more
	// than this. It may be nil.
	due func(from, to *Status) time.Duration

	mu      sync.Mutex // guards what follows
	desired map[key]*desired[Status]
	queue   workqueue.TypedRateLimitingInterface[key] // nil unless run runs
}

type desired[Status any] struct {
	uid     string
	status  Status
	written time.Time
}

func newStatuses[Spec, Status any](k *kind[Spec, Status], event func(runtime.Object, transition)) *statuses[Spec, Status] {
	return &statuses[Spec, Status]{kind: k, event: event, desired: map[key]*desired[Status]{}}
}

// change changes what the status of an object should be, and returns it.
func (s *statuses[Spec, Status]) change(o object[Spec, Status], change func(*Status)) Status {
	k := keyOf(o.meta)
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.desired[k]
	if d == nil || d.uid != string(o.meta.UID) {
		d = &desired[Status]{uid: string(o.meta.UID), status: s.copyOf(o.object)}
		s.desired[k] = d
	}
	before := d.status
	conditions := s.kind.conditions(&d.status)
	*conditions = append([]metav1.Condition(nil), *conditions...)
	change(&d.status)
	if s.queue != nil && !sameStatus(&before, &d.status) {
		s.queue.Add(k)
	}
	return d.status
}

// forget drops an object that is gone.
func (s *statuses[Spec, Status]) forget(k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.desired, k)
}

// forgetAll drops all objects: others say from now on what is known of them.
func (s *statuses[Spec, Status]) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.desired)
}

func (s *statuses[Spec, Status]) copyOf(o runtime.Object) Status {
	opened, _ := s.kind.open(o.DeepCopyObject())
	return *opened.status
}

// run writes statuses until ctx ends.
func (s *statuses[Spec, Status]) run(ctx context.Context) {
	queue := newQueue(s.kind.name + "-status")
	s.mu.Lock()
	s.queue = queue
	for k := range s.desired {
		queue.Add(k)
	}
	s.mu.Unlock()
	work(ctx, queue, 2, func(ctx context.Context, k key) error {
		after, err := s.write(ctx, k)
		if err == nil && after > 0 {
			queue.AddAfter(k, after)
		}
		return err
	})
	s.mu.Lock()
	s.queue = nil
	s.mu.Unlock()
}

// write writes the status of an object if it is not as it should be. It returns
// how long to wait if it is too soon for that.
func (s *statuses[Spec, Status]) write(ctx context.Context, k key) (time.Duration, error) {
	current, exists := s.kind.lookup(k)
	s.mu.Lock()
	d := s.desired[k]
	if d == nil || !exists || d.uid != string(current.meta.UID) {
		s.mu.Unlock()
		return 0, nil
	}
	status, written := d.status, d.written
	s.mu.Unlock()
	conditions := s.kind.conditions(&status)
	*conditions = adoptTimes(*conditions, *s.kind.conditions(current.status))
	if s.kind.keep != nil {
		s.kind.keep(&status, current.status)
	}
	if sameStatus(&status, current.status) {
		return 0, nil
	}
	transitions := transitions(*s.kind.conditions(current.status), *conditions)
	if len(transitions) == 0 {
		wait := time.Until(written.Add(statusInterval))
		if s.due != nil {
			wait = max(wait, s.due(current.status, &status))
		}
		if wait > 0 {
			return wait, nil
		}
	}
	target := current.object.DeepCopyObject()
	opened, _ := s.kind.open(target)
	*opened.status = status
	err := s.kind.update(ctx, target)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if apierrors.IsConflict(err) {
		_, err = s.kind.modify(ctx, k, d.uid, func(live *Status) error {
			next := status
			if s.kind.keep != nil {
				s.kind.keep(&next, live)
			}
			*live = next
			return nil
		})
	}
	if err != nil {
		return 0, fmt.Errorf("write the status of %s %s: %w", s.kind.nameOf(k), k, err)
	}
	s.mu.Lock()
	d.written = time.Now()
	s.mu.Unlock()
	klog.FromContext(ctx).V(4).Info("Wrote status", "kind", s.kind.nameOf(k), "object", k)
	for _, t := range transitions {
		s.event(current.object, t)
	}
	return 0, nil
}

// sameStatus reports whether two statuses say the same.
func sameStatus[Status any](a, b *Status) bool { return equality.Semantic.DeepEqual(a, b) }

// adoptTimes returns the conditions with the times of transition that the
// object has, where the status is the same: who led before may have seen it
// earlier or later.
func adoptTimes(conditions, current []metav1.Condition) []metav1.Condition {
	conditions = slices.Clone(conditions)
	for i := range conditions {
		if old := meta.FindStatusCondition(current, conditions[i].Type); old != nil && old.Status == conditions[i].Status {
			conditions[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	return conditions
}

// transition is a condition whose status or reason is not what it was.
type transition struct {
	before *metav1.Condition // nil if there was none
	after  metav1.Condition
}

func transitions(before, after []metav1.Condition) []transition {
	var changed []transition
	for _, condition := range after {
		old := meta.FindStatusCondition(before, condition.Type)
		if old == nil || old.Status != condition.Status || old.Reason != condition.Reason {
			changed = append(changed, transition{old, condition})
		}
	}
	return changed
}
