package collect

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// api is the part of a dynamic client that lists and watches one resource.
type api interface {
	List(ctx context.Context, options metav1.ListOptions) (*unstructured.UnstructuredList, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// converter makes of each object what is kept of it. It is used by one
// goroutine at a time.
type converter interface {
	// convert also reports whether anything is kept but the object's names.
	convert(object *unstructured.Unstructured) (converted runtime.Object, kept bool)
}

// source lists and watches for a reflector. It converts objects while the next
// are decoded, so that the reflector holds none, not even of a list that is
// under way; and it notes the outcome of each call, since the reflector keeps
// to itself what it retries.
type source struct {
	api         api
	gvr         schema.GroupVersionResource
	noWatchList bool
	converter   func() converter
	began       func() // a list starts, of all objects
	note        func(outcome)
	spawn       func(func()) // runs a goroutine that is waited for
}

var _ cache.ListerWatcherWithContext = &source{}

// IsWatchListSemanticsUnSupported tells the reflector whether to list.
func (s *source) IsWatchListSemanticsUnSupported() bool { return s.noWatchList }

// ListWithContext lists a page of converted objects.
func (s *source) ListWithContext(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	if options.Continue == "" {
		s.began()
	}
	list, err := s.api.List(ctx, options)
	if ctx.Err() != nil {
		return nil, ctx.Err() // nobody reads the answer
	}
	if err != nil {
		s.failed("list", err)
		return nil, err
	}
	if list.GetContinue() == "" { // else the list may fail yet
		s.note(outcome{verb: "list"})
	}
	converter := s.converter()
	converted := &metainternalversion.List{ListMeta: metav1.ListMeta{
		ResourceVersion:    list.GetResourceVersion(),
		Continue:           list.GetContinue(),
		RemainingItemCount: list.GetRemainingItemCount(),
	}}
	for i := range list.Items {
		if object, kept := converter.convert(&list.Items[i]); kept {
			converted.Items = append(converted.Items, object)
		}
		list.Items[i].Object = nil
	}
	return converted, nil
}

// WatchWithContext watches converted objects.
func (s *source) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	initial := options.SendInitialEvents != nil && *options.SendInitialEvents
	if initial {
		s.began()
	}
	in, err := s.api.Watch(ctx, options)
	if err != nil {
		if !initial || !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) { // else a server that can't send initial events
			s.failed("watch", err)
		}
		return nil, err
	}
	if !initial { // else the list may fail yet
		s.note(outcome{verb: "watch"})
	}
	w := &conversion{source: s, in: in, initial: initial, out: make(chan watch.Event, 64), done: make(chan struct{})}
	s.spawn(func() { w.run(ctx) })
	return w, nil
}

// failed notes an error, unless it only makes the reflector list again: what is
// wrong stays so until that list is complete.
func (s *source) failed(verb string, err error) {
	if message := outage(err, s.gvr, verb); message != "" {
		s.note(outcome{verb, message})
	}
}

// List and Watch are what the reflector's type asks for; it calls the others.
func (s *source) List(options metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), options)
}

// Watch is like List.
func (s *source) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), options)
}

// conversion is a watch whose objects are converted.
type conversion struct {
	source  *source
	in      watch.Interface
	initial bool // all objects come first, up to a bookmark
	out     chan watch.Event
	done    chan struct{}
	stop    sync.Once
}

// ResultChan implements watch.Interface.
func (c *conversion) ResultChan() <-chan watch.Event { return c.out }

// Stop implements watch.Interface.
func (c *conversion) Stop() {
	c.stop.Do(func() {
		close(c.done)
		c.in.Stop()
	})
}

func (c *conversion) run(ctx context.Context) {
	defer close(c.out)
	defer c.Stop()
	converter := c.source.converter()
	for {
		var event watch.Event
		var ok bool
		select {
		case <-c.done:
			return
		case event, ok = <-c.in.ResultChan():
			if !ok {
				c.ended(ctx)
				return
			}
		}
		if !c.convert(converter, &event) {
			continue
		}
		select {
		case <-c.done:
			return
		case c.out <- event:
		}
	}
}

// ended notes that the watch has no more events, unless it was stopped.
func (c *conversion) ended(ctx context.Context) {
	select {
	case <-c.done:
	case <-ctx.Done():
	default:
		if c.initial {
			c.source.note(outcome{"watch", incomplete(c.source.gvr)})
		}
	}
}

// convert converts the event's object. It reports whether to send the event.
func (c *conversion) convert(converter converter, event *watch.Event) bool {
	object, ok := event.Object.(*unstructured.Unstructured)
	switch event.Type {
	case watch.Error:
		err := apierrors.FromObject(event.Object)
		if !c.initial || !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
			c.source.failed("watch", err)
		}
		c.initial = false
	case watch.Bookmark:
		if c.initial {
			c.source.note(outcome{verb: "watch"})
		}
		c.initial = false
	case watch.Deleted:
		if ok {
			names := newObject(object)
			event.Object = &names
		}
	case watch.Added, watch.Modified:
		if ok {
			var kept bool
			event.Object, kept = converter.convert(object)
			// In the beginning, nothing is as good as absent, but for what it replaces.
			return kept || !c.initial || event.Type == watch.Modified
		}
	}
	return true
}

// object is what a reflector asks of an object.
type object struct {
	metav1.Object   // nil: the reflector calls only what follows
	namespace, name string
	version         string
}

var (
	_ runtime.Object = &object{}
	_ metav1.Object  = &object{}
)

// newObject returns the names of an object.
func newObject(o *unstructured.Unstructured) object {
	metadata, _ := o.Object["metadata"].(map[string]any)
	var out object
	out.namespace, _ = metadata["namespace"].(string)
	out.name, _ = metadata["name"].(string)
	out.version, _ = metadata["resourceVersion"].(string)
	return out
}

func (o *object) GetNamespace() string             { return o.namespace }
func (o *object) GetName() string                  { return o.name }
func (o *object) GetResourceVersion() string       { return o.version }
func (o *object) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns the object itself, which never changes.
func (o *object) DeepCopyObject() runtime.Object { return o }

// endingClock is the clock of a reflector, which does not always ask ctx while
// it waits: nothing is waited for once ctx ended.
type endingClock struct {
	clock.RealClock
	ctx context.Context
}

// After is like time.After.
func (c endingClock) After(d time.Duration) <-chan time.Time {
	out := make(chan time.Time, 1)
	ctx, cancel := context.WithTimeout(c.ctx, d)
	context.AfterFunc(ctx, func() {
		cancel()
		out <- time.Now()
	})
	return out
}
