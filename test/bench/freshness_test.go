package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

const (
	changesPerSecond = 100
	changes          = 1000
)

// BenchmarkFreshness measures how long after a change of a source object, 100 a
// second, the watch event of its row arrives through the aggregator: p99-ms,
// from just before the change is sent.
//
// x-source-watch is that divided by the yardstick's p99: a watch on the source
// itself, which sees the same changes at the same time.
func BenchmarkFreshness(b *testing.B) {
	env := start(b)
	env.collect(b)
	defer env.release(b)
	source := env.source(b)
	rows := schema.GroupVersionResource(inventoryv1alpha1.SchemeGroupVersion.WithResource("clusterinventoryrows"))
	var ours, yardstick []time.Duration
	for b.Loop() {
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		sent := &sendTimes{times: map[string]time.Time{}}
		var arrivals sync.WaitGroup
		follow := func(resource schema.GroupVersionResource, value func(*unstructured.Unstructured) string, into *[]time.Duration) {
			watcher, err := source.Resource(resource).Watch(ctx, newest(ctx, b, source, resource))
			must(b, err)
			arrivals.Go(func() { sent.await(b, watcher, value, into) })
		}
		follow(configMaps, func(u *unstructured.Unstructured) string {
			stamp, _, _ := unstructured.NestedString(u.Object, "data", "owner")
			return stamp
		}, &yardstick)
		follow(rows, func(u *unstructured.Unstructured) string {
			stamp, _, _ := unstructured.NestedString(u.Object, "attributes", "owner")
			return stamp
		}, &ours)
		sent.change(ctx, b, source)
		arrivals.Wait()
		cancel()
	}
	b.ReportMetric(float64(p99(ours))/1e6, "p99-ms")
	b.ReportMetric(float64(p99(ours))/float64(p99(yardstick)), "x-source-watch")
	b.ReportMetric(0, "ns/op")
}

// newest returns the options of a watch from now on.
func newest(ctx context.Context, b *testing.B, client dynamic.Interface, resource schema.GroupVersionResource) metav1.ListOptions {
	b.Helper()
	page, err := client.Resource(resource).List(ctx, metav1.ListOptions{Limit: 1})
	must(b, err)
	return metav1.ListOptions{ResourceVersion: page.GetResourceVersion()}
}

// sendTimes says when each change was sent, by the value that it wrote.
type sendTimes struct {
	mu    sync.Mutex // guards times
	times map[string]time.Time
}

func (s *sendTimes) change(ctx context.Context, b *testing.B, client dynamic.Interface) {
	tick := time.NewTicker(time.Second / changesPerSecond)
	defer tick.Stop()
	var writes sync.WaitGroup
	defer writes.Wait()
	for i := range changes {
		<-tick.C
		writes.Go(func() {
			stamp := fmt.Sprintf("changed-%d-%d", time.Now().UnixNano(), i)
			patch, err := json.Marshal(map[string]any{"data": map[string]any{"owner": stamp}})
			if err == nil {
				s.mu.Lock()
				s.times[stamp] = time.Now()
				s.mu.Unlock()
				_, err = client.Resource(configMaps).Namespace(namespaceName(i)).
					Patch(ctx, objectName(i), types.MergePatchType, patch, metav1.PatchOptions{})
			}
			if err != nil {
				b.Error(err)
			}
		})
	}
}

// await notes how long each change took to arrive, until all have.
func (s *sendTimes) await(b *testing.B, watcher watch.Interface, value func(*unstructured.Unstructured) string, into *[]time.Duration) {
	defer watcher.Stop()
	seen := 0
	for event := range watcher.ResultChan() {
		arrived := time.Now()
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			b.Errorf("watch: %v %v", event.Type, event.Object)
			return
		}
		s.mu.Lock()
		sent, changed := s.times[value(object)]
		s.mu.Unlock()
		if !changed {
			continue
		}
		*into = append(*into, arrived.Sub(sent))
		if seen++; seen == changes {
			return
		}
	}
	b.Errorf("the watch ended after %d of %d changes", seen, changes)
}

func p99(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}
