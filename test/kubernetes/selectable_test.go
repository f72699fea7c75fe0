package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Of test/e2e/apimachinery/crd_selectable_fields.go: promoted attributes are to
// rows what selectable fields are to custom resources.
func TestListsWatchesAndInformersObserveFieldSelectors(t *testing.T) {
	t.Parallel()
	s := begin(t, "selectable")
	selectors := []string{"attributes.host=host1", "attributes.host=host1,attributes.port=80"}
	logs := map[string]*eventLog{}
	for _, v := range s.views {
		for _, selector := range selectors {
			logs["watch "+v.resource+" "+selector] = s.logWatch(v, selector)
			logs["informer "+v.resource+" "+selector] = s.logInformer(v, selector)
		}
	}
	// want wants what each of the selectors lists, and has logged.
	want := func(listed, events [2]string) {
		t.Helper()
		for _, v := range s.views {
			for i, selector := range selectors {
				s.until(func() error {
					list, err := v.client.List(t.Context(), metav1.ListOptions{FieldSelector: v.scope + "," + selector})
					if err != nil {
						return err
					}
					var names []string
					for i := range list.Items {
						names = append(names, sourceOf(&list.Items[i]))
					}
					slices.Sort(names)
					if got := strings.Join(names, " "); got != listed[i] {
						return fmt.Errorf("list %s %s: got %s, want %s", v.resource, selector, got, listed[i])
					}
					return nil
				})
				for _, how := range []string{"watch ", "informer "} {
					s.until(func() error {
						if got := logs[how+v.resource+" "+selector].sorted(); got != events[i] {
							return fmt.Errorf("%s%s %s: got %s, want %s", how, v.resource, selector, got, events[i])
						}
						return nil
					})
				}
			}
		}
	}

	s.put("cr0", nil, map[string]string{"host": "host1", "port": "80"})
	s.put("cr1", nil, map[string]string{"host": "host1", "port": "8080"})
	s.put("cr2", nil, map[string]string{"host": "host2"})
	want([2]string{"cr0 cr1", "cr0"}, [2]string{"ADDED cr0, ADDED cr1", "ADDED cr0"})

	s.remove("cr0")
	s.put("cr1", nil, map[string]string{"host": "host2", "port": "8080"})
	want([2]string{"", ""}, [2]string{"ADDED cr0, ADDED cr1, DELETED cr0, DELETED cr1", "ADDED cr0, DELETED cr0"})
}

// eventLog remembers events.
type eventLog struct {
	mu     sync.Mutex // guards events
	events []string
}

func (l *eventLog) add(kind watch.EventType, object any) {
	if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	row, ok := object.(*unstructured.Unstructured)
	if !ok {
		l.events = append(l.events, fmt.Sprintf("%s %v", kind, object))
		return
	}
	l.events = append(l.events, fmt.Sprintf("%s %s", kind, sourceOf(row)))
}

// sorted returns all events, sorted: those of different objects may come in any
// order.
func (l *eventLog) sorted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(l.events)), ", ")
}

func (s *scene) logWatch(v view, selector string) *eventLog {
	w, err := v.client.Watch(s.Context(), metav1.ListOptions{FieldSelector: v.scope + "," + selector})
	s.must(err)
	l := &eventLog{}
	var group sync.WaitGroup
	group.Go(func() {
		for e := range w.ResultChan() {
			l.add(e.Type, e.Object)
		}
	})
	s.Cleanup(func() {
		w.Stop()
		group.Wait()
	})
	return l
}

func (s *scene) logInformer(v view, selector string) *eventLog {
	l := &eventLog{}
	informer := s.informer(v, metav1.ListOptions{FieldSelector: v.scope + "," + selector}, v.client.Watch, &unstructured.Unstructured{})
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { l.add(watch.Added, object) },
		UpdateFunc: func(_, object any) { l.add(watch.Modified, object) },
		DeleteFunc: func(object any) { l.add(watch.Deleted, object) },
	})
	s.must(err)
	return l
}

// informer runs an informer that can only watch, until the test ends, and returns
// when it is in sync.
func (s *scene) informer(v view, selection metav1.ListOptions, open func(context.Context, metav1.ListOptions) (watch.Interface, error), object runtime.Object) cache.SharedIndexInformer {
	s.Helper()
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return nil, fmt.Errorf("a list of %s was asked for, not a watch", v.resource)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector, options.LabelSelector = selection.FieldSelector, selection.LabelSelector
			return open(ctx, options)
		},
	}, object, 0, nil)
	ctx, stop := context.WithCancel(context.WithoutCancel(s.Context()))
	var group sync.WaitGroup
	group.Go(func() { informer.RunWithContext(ctx) })
	s.Cleanup(func() {
		stop()
		group.Wait()
	})
	s.until(func() error {
		if !informer.HasSynced() {
			return fmt.Errorf("the informer of %s is not in sync", v.resource)
		}
		return nil
	})
	return informer
}
