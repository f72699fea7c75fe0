package inventory

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// BenchmarkAccess lists the rows of a caller who may list 10 of many namespaces,
// and beside it the rows of an inventory that has no others: the ratio of the
// times is x-1k-ns and x-10k-ns.
func BenchmarkAccess(b *testing.B) {
	const visible, perNamespace = 10, 100
	for name, namespaces := range map[string]int{"x-1k-ns": 1_000, "x-10k-ns": 10_000} {
		b.Run(name, func(b *testing.B) {
			ctx := as(b, "alice", "")
			s, r, a := newAccessibleStorage(b, inventory.Options{})
			spread(s, platform, namespaces, perNamespace)
			for i := range visible {
				r.set("alice", inventory.Partition{Group: "apps", Resource: "deployments", Namespace: spreadNamespace(i * namespaces / visible)}, true)
			}
			alone, storages := newStorage(b, inventory.Options{})
			spread(alone, apps, visible, perNamespace)
			baseline := func() int {
				l := mustList(b, in(b, "team-a"), storages["inventoryrows"], options{})
				return write(b, l)
			}
			measured := func() int { return write(b, mustListAccessible(b, ctx, a, options{})) }
			if got, want := measured(), baseline(); got < want {
				b.Fatalf("listed %d bytes, want more than %d", got, want)
			}
			var ours, theirs time.Duration
			for b.Loop() {
				start := time.Now()
				baseline()
				middle := time.Now()
				measured()
				theirs += middle.Sub(start)
				ours += time.Since(middle)
			}
			b.ReportMetric(float64(ours)/float64(theirs), name)
			b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N*visible*perNamespace), "ns/row")
		})
	}
}

// BenchmarkPartitionHeap tells what it takes to find rows by partition.
func BenchmarkPartitionHeap(b *testing.B) {
	const namespaces, perNamespace = 1_000, 100
	for b.Loop() {
		inAll, inNone := inventory.NewStore(inventory.Options{}), inventory.NewStore(inventory.Options{})
		before := liveHeap()
		spread(inAll, platform, namespaces, perNamespace)
		middle := liveHeap()
		spread(inNone, platform, 0, namespaces*perNamespace)
		after := liveHeap()
		b.ReportMetric(float64(middle-before)/(namespaces*perNamespace), "B/row")
		b.ReportMetric(float64(after-middle)/(namespaces*perNamespace), "B/row-without-namespace")
		runtime.KeepAlive(inAll)
		runtime.KeepAlive(inNone)
	}
}

func liveHeap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func spreadNamespace(i int) string { return fmt.Sprintf("namespace-%05d", i) }

// spread adds an inventory with rows in each of so many namespaces, or without a
// namespace.
func spread(s *inventory.Store, ref inventory.Ref, namespaces, rows int) {
	addInventory(s, ref, 0)
	s.Update(func(tx *inventory.Tx) {
		for i := range max(1, namespaces) * rows {
			namespace, resource := "", nodes
			if namespaces > 0 {
				namespace, resource = spreadNamespace(i/rows), deployments
			}
			tx.Put(inventory.NewRow(inventory.RowContent{
				Resource: resource, Target: targetOf(ref), Namespace: namespace, Name: fmt.Sprintf("app-%d", i%rows), UID: fmt.Sprintf("uid-%d", i),
				Created: created, Labels: map[string]string{"app": "web"}, Attributes: fmt.Appendf(nil, `{"image":"nginx:1.27","replicas":%d}`, i%rows),
			}), "")
		}
	})
}

func write[T object](b *testing.B, l *list[T]) int {
	counter := &count{}
	if err := l.CacheEncode(l.of.json, nil, counter); err != nil {
		b.Fatal(err)
	}
	return counter.bytes
}

type count struct{ bytes int }

var _ io.Writer = &count{}

func (c *count) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}
