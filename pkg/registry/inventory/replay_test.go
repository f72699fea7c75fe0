package inventory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	"kollect.io/kollect/pkg/inventory"
)

// TestWatchesLeadToTheState has watchers that start at any time while a writer
// makes changes, and compares what they make of the events with the last state.
func TestWatchesLeadToTheState(t *testing.T) {
	s, storages := newStorage(t, inventory.Options{})
	refs := []inventory.Ref{apps, {Namespace: "team-b", Name: "apps.x"}, platform, {Namespace: "team-a", Name: "apps.y"}}
	for _, ref := range refs {
		addInventory(s, ref, 20)
	}
	end := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		random := rand.New(rand.NewPCG(9, 9))
		for range 1500 {
			s.Update(func(tx *inventory.Tx) {
				for range random.IntN(4) {
					ref := refs[random.IntN(len(refs))]
					row := newRow(ref, random.IntN(40), strconv.Itoa(random.IntN(3)))
					if random.IntN(3) == 0 {
						tx.Remove(row)
					} else {
						tx.Put(row, "")
					}
				}
			})
		}
		close(end)
	})
	selectors := []options{{}, {LabelSelector: labels.SelectorFromSet(labels.Set{"n": "1"})}, {FieldSelector: fields.OneTermEqualSelector("inventory", "apps")}}
	for i := range 12 {
		readers.Go(func() {
			o := selectors[i%len(selectors)]
			o.AllowWatchBookmarks = true
			name, namespace := "inventoryrows", []string{"", "team-a"}[i%2]
			if i%4 == 3 {
				name, namespace = "clusterinventoryrows", ""
			}
			if diff := replay(t, storages[name], namespace, o, i%2 == 0, end); diff != "" {
				t.Errorf("%s in %q: (-want +got)\n%s", name, namespace, diff)
			}
		})
	}
	writer.Wait()
	readers.Wait()
}

// replay follows a watch until what its events lead to is what there is after
// the end, and returns the difference if that does not happen.
func replay(t *testing.T, s rest.Storage, namespace string, o options, initial bool, end chan struct{}) string {
	got, last := map[string]string{}, uint64(0)
	listed := func() (objects map[string]string, version string) {
		objects = map[string]string{}
		l := mustList(t, in(t, namespace), s, options{LabelSelector: o.LabelSelector, FieldSelector: o.FieldSelector})
		for r := range l.objects {
			objects[r.key()] = r.meta().ResourceVersion
		}
		return objects, l.ResourceVersion
	}
	if initial {
		o.SendInitialEvents = ptr(true)
	} else {
		got, o.ResourceVersion = listed()
		last, _ = strconv.ParseUint(o.ResourceVersion, 10, 64)
	}
	w := mustWatch(t, in(t, namespace), s, o)
	var want map[string]string
	var tooLong <-chan time.Time
	for {
		if want != nil && !initial && maps.Equal(want, got) {
			return ""
		}
		var e watch.Event
		select {
		case e = <-w.ResultChan():
		case <-end:
			end = nil
			want, _ = listed()
			tooLong = time.After(30 * time.Second)
			continue
		case <-tooLong:
			return cmp.Diff(want, got)
		}
		m, err := meta.Accessor(e.Object)
		if err != nil {
			return fmt.Sprintf("%s: %v", e.Type, err)
		}
		v, _ := strconv.ParseUint(m.GetResourceVersion(), 10, 64)
		key := objectKey(m.GetNamespace(), m.GetName())
		switch _, exists := got[key]; {
		case e.Type == watch.Bookmark:
			initial = false
		case !initial && v <= last:
			return fmt.Sprintf("%s %s at %d after %d", e.Type, key, v, last)
		case e.Type == watch.Deleted && exists:
			delete(got, key)
		case e.Type == watch.Added && !exists, e.Type == watch.Modified && exists:
			got[key] = m.GetResourceVersion()
		default:
			return fmt.Sprintf("%s %s, and it existed: %t", e.Type, key, exists)
		}
		last = max(last, v)
	}
}
