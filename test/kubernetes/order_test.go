package kubernetes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// Of test/e2e/apimachinery/watch.go: a watch begins at each event of the first
// one, and all of them see the same versions from there on.
func TestWatchersReceiveEventsInTheSameOrder(t *testing.T) {
	t.Parallel()
	s := begin(t, "watch-order")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.churn(ctx) }()
	for _, v := range s.views {
		t.Run(v.resource, v.sameOrder)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func (v view) sameOrder(t *testing.T) {
	const watches = 30
	list, err := v.client.List(t.Context(), metav1.ListOptions{FieldSelector: v.scope})
	if err != nil {
		t.Fatal(err)
	}
	version := list.GetResourceVersion()
	var all []*watchtools.RetryWatcher
	defer func() {
		for _, w := range all {
			w.Stop()
			<-w.Done()
		}
	}()
	events := map[watch.EventType]int{}
	for range watches {
		w, err := watchtools.NewRetryWatcherWithContext(t.Context(), version, &cache.ListWatch{
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				options.FieldSelector = v.scope
				return v.client.Watch(ctx, options)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
		first := nextOf(t, all[0])
		version = first.Object.(*unstructured.Unstructured).GetResourceVersion()
		events[first.Type]++
		for i, w := range all[1:] {
			e := nextOf(t, w)
			row := e.Object.(*unstructured.Unstructured)
			if e.Type != first.Type || row.GetResourceVersion() != version {
				t.Fatalf("watch %d: got %s %s of version %s, want %s of version %s", i+1, e.Type, row.GetName(), row.GetResourceVersion(), first.Type, version)
			}
		}
	}
	for _, kind := range []watch.EventType{watch.Added, watch.Modified, watch.Deleted} {
		if events[kind] == 0 {
			t.Errorf("no event is %s: %v", kind, events)
		}
	}
}

// nextOf waits for an event, which is one of a row.
func nextOf(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	select {
	case e, ok := <-w.ResultChan():
		if _, row := e.Object.(*unstructured.Unstructured); !ok || !row || e.Type == watch.Error {
			t.Fatalf("got %s %v, want a row", e.Type, e.Object)
		}
		return e
	case <-timeout.C:
		t.Fatalf("no event after %s", deadline)
	}
	panic("unreachable")
}

// churn creates, changes and deletes ConfigMaps until the context ends.
func (s *scene) churn(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var names []string
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		switch which := rand.IntN(max(1, len(names))); {
		case len(names) == 0 || i%3 == 0:
			names = append(names, fmt.Sprintf("cm-%d", i))
			err = s.tryPut(ctx, names[len(names)-1], nil, nil)
		case i%3 == 1:
			err = s.tryPut(ctx, names[which], nil, map[string]string{"value": fmt.Sprint(i)})
		default:
			err = s.core.CoreV1().ConfigMaps(s.ns).Delete(ctx, names[which], metav1.DeleteOptions{})
			names = append(names[:which], names[which+1:]...)
		}
		if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
}
