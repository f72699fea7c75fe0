package bench

import (
	"bufio"
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
)

// BenchmarkHeap measures the server's live heap, after a garbage collection,
// with all seeded objects collected, less that without: B/row, with five
// attributes and five labels a row, one target and one inventory.
//
// x-informer is B/row divided by the yardstick's bytes an object: a plain
// unstructured informer of the same objects, in this process.
func BenchmarkHeap(b *testing.B) {
	env := start(b)
	var row, object float64
	for b.Loop() {
		before := env.liveHeap(b)
		env.collect(b)
		row += (env.liveHeap(b) - before) / float64(env.objects)
		env.release(b)
		object += env.informerHeap(b) / float64(env.objects)
	}
	b.ReportMetric(row/float64(b.N), "B/row")
	b.ReportMetric(row/object, "x-informer")
	b.ReportMetric(0, "ns/op")
}

var heapAlloc = regexp.MustCompile(`^# HeapAlloc = (\d+)`)

// liveHeap asks the server to collect its garbage, and for what is left.
func (e *environment) liveHeap(b *testing.B) float64 {
	b.Helper()
	ask := func() float64 {
		client := kubernetes.NewForConfigOrDie(e.server.Config()).Discovery().RESTClient()
		stream, err := client.Get().AbsPath("/debug/pprof/heap").Param("gc", "1").Param("debug", "1").Stream(b.Context())
		must(b, err)
		defer stream.Close()
		lines := bufio.NewScanner(stream)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if m := heapAlloc.FindStringSubmatch(lines.Text()); m != nil {
				bytes, err := strconv.ParseFloat(m[1], 64)
				must(b, err)
				return bytes
			}
		}
		b.Fatal(fmt.Errorf("the heap profile has no HeapAlloc: %w", lines.Err()))
		return 0
	}
	ask() // what has a finalizer goes with the second collection
	return ask()
}

// informerHeap returns how much live heap an unstructured informer takes.
func (e *environment) informerHeap(b *testing.B) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	before := ownHeap()
	factory := dynamicinformer.NewDynamicSharedInformerFactory(e.source(b), 0)
	informer := factory.ForResource(configMaps).Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	taken := ownHeap() - before
	if n := len(informer.GetStore().ListKeys()); n < e.objects {
		b.Fatalf("the informer has %d of %d objects", n, e.objects)
	}
	cancel()
	factory.Shutdown()
	return taken
}

func ownHeap() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
