package judges

import (
	"context"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"

	"kollect.io/kollect/pkg/inventory"
)

// Writes are the adapter's own. They are not judged: rows come from the cluster.

func (s *podStorage) Create(ctx context.Context, key string, obj, out runtime.Object, _ uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored(ctx, key) != nil {
		return storage.NewKeyExistsError(key, 0)
	}
	s.put(ctx, key, obj.(*example.Pod), out)
	return nil
}

func (s *podStorage) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, _ runtime.Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := s.stored(ctx, key)
	if pod == nil {
		if !ignoreNotFound {
			return storage.NewKeyNotFoundError(key, 0)
		}
		pod = &example.Pod{}
	}
	if err := preconditions.Check(key, pod); err != nil {
		return err
	}
	updated, _, err := update(pod, storage.ResponseMeta{})
	if err != nil {
		return err
	}
	s.put(ctx, key, updated.(*example.Pod), out)
	return nil
}

func (s *podStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pod := s.stored(ctx, key)
	if pod == nil {
		return storage.NewKeyNotFoundError(key, 0)
	}
	if err := preconditions.Check(key, pod); err != nil {
		return err
	}
	if err := validate(ctx, pod); err != nil {
		return err
	}
	ref := s.pods.ref(key)
	row := s.pods.row(s.t, ref, pod)
	pod.ResourceVersion = s.update(func(tx *inventory.Tx) { tx.Remove(row) })
	*out.(*example.Pod) = *pod
	return nil
}

// stored returns the pod at a key, or nil.
func (s *podStorage) stored(ctx context.Context, key string) *example.Pod {
	pod := &example.Pod{}
	if err := s.Get(ctx, key, storage.GetOptions{}, pod); err != nil {
		return nil
	}
	return pod
}

func (s *podStorage) put(ctx context.Context, key string, pod *example.Pod, out runtime.Object) {
	ref := s.pods.ref(key)
	row := s.pods.row(s.t, ref, pod)
	s.update(func(tx *inventory.Tx) {
		tx.SetInventory(s.pods.definition(ref))
		tx.Put(row, "")
	})
	if out == nil {
		return
	}
	if err := s.Get(ctx, key, storage.GetOptions{}, out); err != nil {
		s.t.Errorf("read %s after it was written: %v", key, err)
	}
}

// update changes one row and returns the number of the newest version.
func (s *podStorage) update(fn func(*inventory.Tx)) string {
	s.versions.mu.Lock()
	defer s.versions.mu.Unlock()
	s.clock.seconds.Add(1)
	before := s.store.State().Version
	s.store.Update(fn)
	if after := s.store.State().Version; after > before {
		s.versions.changes = append(s.versions.changes, change{row: before + 1, state: after})
	}
	return strconv.Itoa(len(s.versions.changes))
}

// increase makes a version at which nothing changed.
func (s *podStorage) increase(context.Context, *testing.T) int64 {
	s.versions.mu.Lock()
	defer s.versions.mu.Unlock()
	s.clock.seconds.Add(1)
	version := s.store.Advance()
	s.versions.changes = append(s.versions.changes, change{version, version})
	return int64(len(s.versions.changes))
}

// compact lets the store forget what was before a version. Like that of etcd, it
// makes a version of its own.
func (s *podStorage) compact(ctx context.Context, t *testing.T, number string) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s.versions.mu.Lock()
	// One change a second, less a first version that was there at once.
	s.clock.seconds.Store(s.clock.seconds.Load() - int64(uint64(len(s.versions.changes))-n) + int64(historyAge/time.Second))
	s.versions.compacted = n
	s.versions.mu.Unlock()
	s.increase(ctx, t)
}

// UpdatePrefixTransformer sets what is called for each pod of a list while the
// list is read.
func (s *podStorage) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	transformer := modify(storagetesting.NewPrefixTransformer([]byte(storedPrefix), false))
	s.transformer.Store(&transformer)
	return func() { s.transformer.Store(nil) }
}

const storedPrefix = "stored:"

func (s *podStorage) transform(ctx context.Context) error {
	transformer := s.transformer.Load()
	if transformer == nil {
		return nil
	}
	_, _, err := (*transformer).TransformFromStorage(ctx, []byte(storedPrefix), value.DefaultContext(nil))
	return err
}
