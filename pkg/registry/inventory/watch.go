package inventory

import (
	"context"
	stderrors "errors"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
)

const (
	// bookmarkPeriod is how often a watch that allows it gets a bookmark.
	bookmarkPeriod = time.Minute
	// bookmarkBeforeEnd is how long before its deadline it gets one more.
	bookmarkBeforeEnd = 2 * time.Second
	// patience is how long a watcher may take to accept one event.
	patience = 10 * time.Second
	// watchBuffer lets a watcher write several events at once.
	watchBuffer = 100
)

// Watch returns the changes of the selected objects after the version that the
// options name, or the objects themselves and then their changes. Once the
// options are read, an error is an event.
func (s *store[T]) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	version, err := (storage.APIObjectVersioner{}).ParseResourceVersion(options.ResourceVersion)
	if err != nil {
		return nil, errors.NewBadRequest(err.Error())
	}
	initial := version == 0
	if options.SendInitialEvents != nil {
		initial = *options.SendInitialEvents
	}
	state := s.store.State()
	if initial {
		if state, err = s.fresh(ctx, version); err != nil {
			return failed(err), nil
		}
	}
	if initial || version == 0 {
		version = state.Version
	}
	selected := newSelection(ctx, options)
	place := s.kind.place(selected)
	if err := selected.check(state, s.kind.names().scope, place); err != nil {
		return nil, err
	}
	cursor, err := s.store.Follow(version)
	if err != nil {
		return failed(followError(err, version, state.Version)), nil
	}
	w := &watcher[T]{
		store:     s,
		matches:   s.kind.matcher(selected),
		shape:     s.kind.shape(state, place),
		cursor:    cursor,
		version:   version,
		bookmarks: options.AllowWatchBookmarks,
		result:    make(chan watch.Event, watchBuffer),
		done:      make(chan struct{}),
	}
	if initial {
		w.initial = s.kind.scan(state, place, "")
		if options.SendInitialEvents != nil && w.bookmarks {
			w.announce = state
		}
	}
	ctx, w.cancel = context.WithCancel(ctx)
	go w.run(ctx)
	return w, nil
}

func followError(err error, version, current uint64) error {
	if stderrors.Is(err, inventory.ErrFuture) {
		return tooLarge(version, current)
	}
	return errors.NewResourceExpired("too old resource version: " + strconv.FormatUint(version, 10))
}

// failed returns a watch that has nothing but an error.
func failed(err error) watch.Interface {
	status := errors.NewInternalError(err).Status()
	if known := errors.APIStatus(nil); stderrors.As(err, &known) {
		status = known.Status()
	}
	result := make(chan watch.Event, 1)
	result <- watch.Event{Type: watch.Error, Object: &status}
	close(result)
	return watch.NewProxyWatcher(result)
}
