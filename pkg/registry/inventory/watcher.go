package inventory

import (
	"context"
	"iter"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/util/flowcontrol"
	"k8s.io/klog/v2"

	"kollect.io/kollect/pkg/inventory"
)

// watcher is one watch. It follows the store at its own pace, so that no one
// else waits for it.
type watcher[T object] struct {
	store     *store[T]
	matches   func(T) bool
	shape     *shape
	initial   iter.Seq[T]      // what to send first; nil: nothing
	announce  *inventory.State // to say when all of it is sent; nil: do not
	cursor    *inventory.Cursor
	version   uint64 // up to which all is sent
	bookmarks bool

	// renew returns what of the selected may be seen now, or why the watch ends;
	// nil: all, for ever.
	renew func(context.Context) (func(T) bool, error)

	result chan watch.Event
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
}

func (w *watcher[T]) ResultChan() <-chan watch.Event { return w.result }

// Stop ends the watch.
func (w *watcher[T]) Stop() {
	w.cancel()
	<-w.done
}

func (w *watcher[T]) run(ctx context.Context) {
	defer close(w.done)
	defer close(w.result)
	defer w.cancel()
	if !w.sendInitial(ctx) {
		return
	}
	flowcontrol.WatchInitialized(ctx)
	w.follow(ctx)
}

// sendInitial sends the objects that there are, and says when that is done. Like
// all that sends it reports whether to go on.
func (w *watcher[T]) sendInitial(ctx context.Context) bool {
	if w.initial == nil {
		return true
	}
	renewed := time.Now()
	for object := range w.initial {
		if w.renew != nil && time.Since(renewed) >= renewPeriod {
			if renewed = time.Now(); !w.renewed(ctx) {
				return false
			}
		}
		if !w.matches(object) {
			continue
		}
		if !w.send(ctx, watch.Event{Type: watch.Added, Object: w.item(object)}) {
			return false
		}
	}
	w.initial = nil
	if w.announce == nil {
		return true
	}
	w.store.store.Hold(w.announce)
	w.announce = nil
	return w.sendBookmark(ctx, map[string]string{metav1.InitialEventsAnnotationKey: "true"})
}

func (w *watcher[T]) item(object T) *item[T] {
	return &item[T]{of: w.store, object: object, shape: w.shape, outer: watchEncoders}
}

// follow sends what changes, and bookmarks.
func (w *watcher[T]) follow(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	var due <-chan time.Time
	if w.bookmarks {
		timer := time.NewTicker(bookmarkPeriod)
		defer timer.Stop()
		due = timer.C
	}
	var last <-chan time.Time
	if w.bookmarks && !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline) - bookmarkBeforeEnd)
		defer timer.Stop()
		last = timer.C
	}
	var check <-chan time.Time
	if w.renew != nil {
		timer := time.NewTicker(renewPeriod)
		defer timer.Stop()
		check = timer.C
	}
	for {
		more := true
		select {
		case <-ctx.Done():
			return
		case <-w.cursor.Ready():
			more = w.sendNext(ctx)
		case <-check:
			more = w.renewed(ctx)
		case <-due:
			more = w.sendBookmark(ctx, nil)
		case <-last:
			more = w.sendBookmark(ctx, nil)
		}
		if !more {
			return
		}
	}
}

// renewed looks after the caller's rights, and says why the watch ends if it
// does.
func (w *watcher[T]) renewed(ctx context.Context) bool {
	if w.renew == nil {
		return true
	}
	matches, err := w.renew(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.send(ctx, failure(err))
		}
		return false
	}
	w.matches = matches
	return true
}

// sendNext sends what the next update of the store changes.
func (w *watcher[T]) sendNext(ctx context.Context) bool {
	events, version := w.cursor.Next()
	if !w.renewed(ctx) { // what happened may be in a partition that is new
		return false
	}
	for i := range events {
		if event, ok := w.convert(&events[i]); ok && !w.send(ctx, event) {
			return false
		}
	}
	w.version = version
	return true
}

// convert returns what an event is to this watch.
func (w *watcher[T]) convert(e *inventory.Event) (watch.Event, bool) {
	before, after, was, is := w.store.kind.change(e)
	was, is = was && w.matches(before), is && w.matches(after)
	switch {
	case was && is:
		return watch.Event{Type: watch.Modified, Object: w.store.events.get(w.item(after), e.Version, false)}, true
	case is:
		return watch.Event{Type: watch.Added, Object: w.store.events.get(w.item(after), e.Version, false)}, true
	case was:
		return watch.Event{Type: watch.Deleted, Object: w.store.events.get(w.item(before), e.Version, true)}, true
	}
	return watch.Event{}, false
}

// sendBookmark says up to which version all is sent.
func (w *watcher[T]) sendBookmark(ctx context.Context, annotations map[string]string) bool {
	if state := w.store.store.State(); state.Version == w.version {
		w.store.store.Hold(state)
	}
	object := &bookmark{object: w.store.kind.newObject(), shape: w.shape, outer: watchEncoders}
	meta := object.GetObjectMeta()
	meta.SetResourceVersion(strconv.FormatUint(w.version, 10))
	meta.SetAnnotations(annotations)
	return w.send(ctx, watch.Event{Type: watch.Bookmark, Object: object})
}

// send hands over an event, unless the watcher takes too long, or falls behind
// what the store remembers.
func (w *watcher[T]) send(ctx context.Context, event watch.Event) bool {
	select {
	case w.result <- event:
		return true
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case w.result <- event:
		return true
	case <-ctx.Done():
		return false
	case <-w.cursor.Expired():
	case <-timer.C:
	}
	klog.FromContext(ctx).V(2).Info("Closed a slow watch", "resource", w.store.resource(), "version", w.version)
	return false
}
