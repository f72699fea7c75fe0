package judges

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// memory is a small storage of pods that remembers all that happened. It is what
// a watch cache needs below it; what it is asked directly it answers as plainly as
// can be.
type memory struct {
	storage.Interface // nil: nothing else is called

	mu       sync.Mutex      // guards what follows
	writes   []write         // the n-th makes version n+2
	more     chan struct{}   // closed when there are more
	progress []chan struct{} // of watches that are to say how far they are
}

type write struct {
	key           string
	before, after *example.Pod // with the version; nil: none
}

func newMemory() *memory { return &memory{more: make(chan struct{})} }

func (m *memory) Versioner() storage.Versioner                              { return storage.APIObjectVersioner{} }
func (m *memory) ReadinessCheck() error                                     { return nil }
func (m *memory) EnableResourceSizeEstimation(storage.KeysFunc) error       { return nil }
func (m *memory) CompactRevision() int64                                    { return 0 }
func (m *memory) GetCurrentResourceVersion(context.Context) (uint64, error) { return m.version(), nil }

func (m *memory) version() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.writes)) + 1
}

// put writes a pod, or with nil removes it.
func (m *memory) put(key string, pod *example.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := write{key: key, before: m.at(uint64(len(m.writes)) + 1)[key]}
	if pod != nil {
		w.after = pod.DeepCopy()
		w.after.ResourceVersion = strconv.Itoa(len(m.writes) + 2)
	}
	m.writes = append(m.writes, w)
	close(m.more)
	m.more = make(chan struct{})
}

// at returns the pods at a version. The caller has the lock.
func (m *memory) at(version uint64) map[string]*example.Pod {
	pods := map[string]*example.Pod{}
	for _, w := range m.writes[:version-1] {
		if delete(pods, w.key); w.after != nil {
			pods[w.key] = w.after
		}
	}
	return pods
}

// GetList answers with the newest version, or that of a token or an exact match.
func (m *memory) GetList(_ context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	prefix := strings.TrimSuffix(key, "/") + "/"
	version, from, err := storage.ValidateListOptions(prefix, m.Versioner(), opts)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	newest := int64(len(m.writes)) + 1
	if version > newest {
		return storage.NewTooLargeResourceVersionError(uint64(version), uint64(newest), 1)
	}
	if version <= 0 {
		version = newest
	}
	pods := m.at(uint64(version))
	list := out.(*example.PodList)
	list.Items = []example.Pod{}
	list.ResourceVersion = strconv.FormatInt(version, 10)
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(pods)), func(k string) bool { return !strings.HasPrefix(k, prefix) || k < from })
	for i, k := range keys {
		if ok, err := opts.Predicate.Matches(pods[k]); err != nil || !ok {
			continue
		}
		list.Items = append(list.Items, *pods[k].DeepCopy())
		if opts.Predicate.Limit > 0 && int64(len(list.Items)) == opts.Predicate.Limit && i+1 < len(keys) {
			list.Continue, list.RemainingItemCount, err = storage.PrepareContinueToken(k, prefix, version, int64(len(keys)), true, opts)
			return err
		}
	}
	return nil
}

func (m *memory) RequestWatchProgress(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, progress := range m.progress {
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	return nil
}

// Watch sends what comes after a version.
func (m *memory) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	version, err := m.Versioner().ParseResourceVersion(opts.ResourceVersion)
	switch {
	case err != nil:
		return nil, err
	case version == 0 || opts.SendInitialEvents != nil:
		return nil, apierrors.NewBadRequest("only from a version")
	}
	ctx, cancel := context.WithCancel(ctx)
	progress, result := make(chan struct{}, 1), make(chan watch.Event)
	m.mu.Lock()
	m.progress = append(m.progress, progress)
	m.mu.Unlock()
	go m.follow(ctx, version, progress, result)
	return &memoryWatch{result, cancel}, nil
}

type memoryWatch struct {
	result chan watch.Event
	cancel context.CancelFunc
}

func (w *memoryWatch) ResultChan() <-chan watch.Event { return w.result }
func (w *memoryWatch) Stop()                          { w.cancel() }

func (m *memory) follow(ctx context.Context, version uint64, progress chan struct{}, result chan watch.Event) {
	defer close(result)
	for {
		m.mu.Lock()
		writes, more := m.writes[version-1:], m.more
		m.mu.Unlock()
		for _, w := range writes {
			version++
			select {
			case result <- w.event(version):
			case <-ctx.Done():
				return
			}
		}
		var now chan struct{}
		if len(writes) == 0 {
			now = progress
		}
		if now == nil {
			continue
		}
		select {
		case <-more:
		case <-now:
			pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10)}}
			select {
			case result <- watch.Event{Type: watch.Bookmark, Object: pod}:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (w write) event(version uint64) watch.Event {
	switch {
	case w.after == nil:
		deleted := w.before.DeepCopy()
		deleted.ResourceVersion = strconv.FormatUint(version, 10)
		return watch.Event{Type: watch.Deleted, Object: deleted}
	case w.before == nil:
		return watch.Event{Type: watch.Added, Object: w.after.DeepCopy()}
	}
	return watch.Event{Type: watch.Modified, Object: w.after.DeepCopy()}
}

func (m *memory) Get(_ context.Context, key string, opts storage.GetOptions, out runtime.Object) error {
	return errors.New("not asked for")
}

func TestMemoryListsWhatWasWritten(t *testing.T) {
	m := newMemory()
	m.put("/pods/a/x", &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "a"}})
	m.put("/pods/a/x", nil)
	for version, want := range map[string]int{"2": 1, "3": 0} {
		list := &example.PodList{}
		if err := m.GetList(t.Context(), "/pods/", storage.ListOptions{
			ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatchExact, Predicate: storage.Everything, Recursive: true,
		}, list); err != nil || len(list.Items) != want {
			t.Errorf("version %s: got %d pods, %v", version, len(list.Items), err)
		}
	}
}
