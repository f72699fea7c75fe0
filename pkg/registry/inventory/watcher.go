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

// watcher is one watch. It goes along at its own pace, so that no one else waits
// for it: first along all that happens in the store, and then along what its group
// selects of that. When it has caught up, the group's dispatcher sends.
type watcher[T object] struct {
	store     *store[T]
	selected  *selection
	matches   func(T) bool
	shape     *shape
	initial   iter.Seq[T]       // what to send first; nil: nothing
	announce  *inventory.State  // to say when all of it is sent; nil: do not
	cursor    *inventory.Cursor // nil: it goes along with its group
	member    *member[T]        // its place in its group; nil: it has none
	version   uint64            // up to which all is sent
	bookmarks bool
	expired   <-chan struct{} // while it goes along with its group: as of the step that it sends

	// renew returns what of the selected may be seen now, or why the watch ends;
	// nil: all, for ever. With it the watch has no group.
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
	if w.renew == nil {
		w.member = w.store.groups.join(w.selected, w.shape, w.result)
		defer w.store.groups.leave(w.member)
	}
	if w.caughtUp(ctx) {
		w.follow(ctx)
	}
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
		if !w.send(ctx, watch.Event{Type: watch.Added, Object: w.store.watched(object, w.shape)}) {
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
		case <-w.ready():
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

// caughtUp has the watch go along with its group, if it has one, once it has sent
// what was before it joined.
func (w *watcher[T]) caughtUp(ctx context.Context) bool {
	if w.cursor == nil || w.member == nil || w.version < w.member.since {
		return true
	}
	w.cursor, w.member.sent = nil, w.version
	return w.goAlong(ctx)
}

// ready can be received from when sendNext has something to send.
func (w *watcher[T]) ready() <-chan struct{} {
	if w.cursor != nil {
		return w.cursor.Ready()
	}
	return w.member.wake
}

// sendNext sends what the next update of the store changes, or what the group's
// dispatcher could not send.
func (w *watcher[T]) sendNext(ctx context.Context) bool {
	if w.cursor == nil {
		return w.goAlong(ctx)
	}
	events, version := w.cursor.Next()
	if !w.renewed(ctx) { // what happened may be in a partition that is new
		return false
	}
	for i := range events {
		transition := newTransition(w.store.kind, &events[i])
		if event, ok := transition.event(w.store, w.matches, w.shape); ok && !w.send(ctx, event) {
			return false
		}
	}
	w.version = version
	return w.caughtUp(ctx)
}

// goAlong sends the group's events to the last. After that the dispatcher does.
func (w *watcher[T]) goAlong(ctx context.Context) bool {
	for {
		step := w.store.groups.step(w.member)
		if step == nil {
			return true
		}
		w.expired = step.expired
		for _, e := range step.events {
			if e.version > w.member.sent && !w.send(ctx, e.Event) {
				return false
			}
		}
		w.expired = nil
		w.member.passed(step)
	}
}

// sendBookmark says up to which version all is sent.
func (w *watcher[T]) sendBookmark(ctx context.Context, annotations map[string]string) bool {
	if w.cursor != nil {
		return w.sendBookmarkAt(ctx, w.version, annotations)
	}
	return w.sendBookmarkAt(ctx, w.store.groups.rouse(w.member), annotations) && w.goAlong(ctx)
}

func (w *watcher[T]) sendBookmarkAt(ctx context.Context, version uint64, annotations map[string]string) bool {
	if state := w.store.store.State(); state.Version == version {
		w.store.store.Hold(state)
	}
	object := &bookmark{object: w.store.kind.newObject(), shape: w.shape, outer: watchEncoders}
	meta := object.GetObjectMeta()
	meta.SetResourceVersion(strconv.FormatUint(version, 10))
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
	case <-w.behind():
	case <-timer.C:
	}
	klog.FromContext(ctx).V(2).Info("Closed a slow watch", "resource", w.store.resource())
	return false
}

// behind is closed when the store has forgotten what is to be sent next.
func (w *watcher[T]) behind() <-chan struct{} {
	if w.cursor != nil {
		return w.cursor.Expired()
	}
	return w.expired
}
