package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// newQueue returns a queue whose failing keys wait from a second to a minute.
func newQueue(name string) workqueue.TypedRateLimitingInterface[key] {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[key](time.Second, time.Minute),
		workqueue.TypedRateLimitingQueueConfig[key]{Name: name})
}

// work calls reconcile for the keys of a queue, a key in one goroutine at a
// time, until ctx ends. It returns when all calls have.
func work(ctx context.Context, queue workqueue.TypedRateLimitingInterface[key], workers int, reconcile func(context.Context, key) error) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next(ctx, queue, reconcile) {
			}
		})
	}
	<-ctx.Done()
	queue.ShutDown()
	wg.Wait()
}

func next(ctx context.Context, queue workqueue.TypedRateLimitingInterface[key], reconcile func(context.Context, key) error) bool {
	k, ended := queue.Get()
	if ended {
		return false
	}
	defer queue.Done(k)
	err := protect(ctx, k, reconcile)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		klog.FromContext(ctx).Error(err, "Reconcile failed and is tried again", "object", k)
		queue.AddRateLimited(k)
	default:
		queue.Forget(k)
	}
	return true
}

// protect makes an error of a panic, so that one object's fault is nobody else's.
func protect(ctx context.Context, k key, reconcile func(context.Context, key) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("reconcile panicked: %v", p)
		}
	}()
	return reconcile(ctx, k)
}
