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
	// renewPeriod is how often a watch of what not everybody may see looks after
	// its caller's rights, if nothing happens.
	renewPeriod = time.Second
)

// Watch returns the changes of the selected objects after the version that the
// options name, or the objects themselves and then their changes. Once the
// options are read, an error is an event.
func (s *store[T]) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	start, err := newStart(options)
	if err != nil {
		return nil, err
	}
	state, err := s.stateFor(ctx, start)
	if err != nil {
		return failed(err), nil
	}
	return s.watch(ctx, options, start, state, nil)
}

// start says where a watch begins.
type start struct {
	version uint64 // 0: the newest
	initial bool   // with what there is then
}

func newStart(options *metainternalversion.ListOptions) (start, error) {
	version, err := (storage.APIObjectVersioner{}).ParseResourceVersion(options.ResourceVersion)
	if err != nil {
		return start{}, errors.NewBadRequest(err.Error())
	}
	initial := version == 0
	if options.SendInitialEvents != nil {
		initial = *options.SendInitialEvents
	}
	return start{version, initial}, nil
}

// stateFor returns the newest state, not older than what is to be there.
func (s *store[T]) stateFor(ctx context.Context, from start) (*inventory.State, error) {
	if !from.initial {
		return s.store.State(), nil
	}
	return s.fresh(ctx, from.version)
}

// watch returns a watch that begins with the state. renew, which is nil if all is
// for everybody, returns what may be seen.
func (s *store[T]) watch(
	ctx context.Context, options *metainternalversion.ListOptions, from start, state *inventory.State,
	renew func(context.Context) (func(T) bool, error),
) (watch.Interface, error) {
	version := from.version
	if from.initial || version == 0 {
		version = state.Version
	}
	selected := newSelection(ctx, options)
	place := s.kind.place(selected)
	if err := s.kind.check(state, selected, place); err != nil {
		return nil, err
	}
	cursor, err := s.store.Follow(version)
	if err != nil {
		return failed(versionError(err, version, state.Version, "too old resource version: "+strconv.FormatUint(version, 10))), nil
	}
	w := &watcher[T]{
		store:     s,
		selected:  selected,
		matches:   s.kind.matcher(selected),
		shape:     s.kind.shape(state, place),
		cursor:    cursor,
		version:   version,
		bookmarks: options.AllowWatchBookmarks,
		renew:     renew,
		result:    make(chan watch.Event, watchBuffer),
		done:      make(chan struct{}),
	}
	if from.initial {
		w.initial = s.kind.scan(state, place, "")
		if options.SendInitialEvents != nil && w.bookmarks {
			w.announce = state
		}
	}
	ctx, w.cancel = context.WithCancel(ctx)
	go w.run(ctx)
	return w, nil
}

// failed returns a watch that has nothing but an error.
func failed(err error) watch.Interface {
	result := make(chan watch.Event, 1)
	result <- failure(err)
	close(result)
	return watch.NewProxyWatcher(result)
}

func failure(err error) watch.Event {
	status := errors.NewInternalError(err).Status()
	if known := errors.APIStatus(nil); stderrors.As(err, &known) {
		status = known.Status()
	}
	return watch.Event{Type: watch.Error, Object: &status}
}
