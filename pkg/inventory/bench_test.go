package inventory

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"
)

var (
	benchTarget   = TargetRef{Namespace: "team-a", Name: "workloads"}
	benchResource = Resource{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}
	benchRef      = Ref{Namespace: "team-a", Name: "all"}
	benchColumns  = []Column{
		{Name: "image", Type: ColumnString}, {Name: "ready", Type: ColumnBoolean},
		{Name: "replicas", Type: ColumnInteger}, {Name: "version", Type: ColumnString},
	}
	benchSizes = []int{10_000, 1_000_000}
)

// benchRow returns the i-th row, with five labels and five attributes, at a
// revision of its content.
func benchRow(i, revision int) *Row {
	n := strconv.Itoa(i)
	attributes := make([]byte, 0, 256)
	attributes = append(attributes, `{"image":"registry.example.com/team/app-`...)
	attributes = append(attributes, n...)
	attributes = append(attributes, `:v1.2.3","ports":[80,443],"ready":true,"replicas":`...)
	attributes = strconv.AppendInt(attributes, int64(revision), 10)
	attributes = append(attributes, `,"version":"1.2.3"}`...)
	return NewRow(RowContent{
		Resource: &benchResource, Target: &benchTarget, Namespace: "team-a",
		Name: "deployment-" + n, UID: fmt.Sprintf("5f8d2c1e-0000-4000-8000-%012d", i),
		Created: time.Unix(1_700_000_000, 0),
		Labels: map[string]string{
			"app": "app-" + n, "env": "production", "team": "a",
			"app.kubernetes.io/name": "web", "app.kubernetes.io/version": "1.2.3",
		},
		Attributes: attributes,
	})
}

// benchStore returns a store with one inventory of n rows.
func benchStore(n int) *Store {
	store := NewStore(Options{})
	store.Update(func(tx *Tx) {
		tx.SetInventory(Inventory{Ref: benchRef, Cluster: "prod", Targets: []TargetRef{benchTarget}})
		tx.SetTargetState(benchTarget, TargetState{Synced: true})
	})
	const batch = 10_000
	for i := 0; i < n; i += batch {
		store.Update(func(tx *Tx) {
			for j := i; j < min(n, i+batch); j++ {
				tx.Put(benchRow(j, 0), "")
			}
		})
	}
	return store
}

func benchName(n int) string { return "rows=" + strconv.Itoa(n) }

func BenchmarkNewRow(b *testing.B) {
	b.ReportAllocs()
	for i := range b.N {
		benchRow(i, 0)
	}
}

// BenchmarkUpdateRow is the cost of one changed row to a new snapshot.
func BenchmarkUpdateRow(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			store := benchStore(n)
			random := rand.New(rand.NewPCG(1, 2))
			revision := 0
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				revision++
				row := benchRow(random.IntN(n), revision)
				store.Update(func(tx *Tx) { tx.Put(row, "7") })
			}
		})
	}
}

// BenchmarkLoad is the cost of a row in the first list.
func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	b.ReportAllocs()
	for b.Loop() {
		benchStore(n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

func BenchmarkSnapshotAll(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			snapshot := benchStore(n).State().Snapshot(benchRef)
			runtime.GC()
			rows := 0
			for b.Loop() {
				for range snapshot.All() {
					rows++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

// BenchmarkDiff is the cost of finding 100 changes.
func BenchmarkDiff(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			const changes = 100
			store := benchStore(n)
			before := store.State().Snapshot(benchRef)
			store.Update(func(tx *Tx) {
				for i := range changes {
					tx.Put(benchRow(i*(n/changes), 1), "")
				}
			})
			after := store.State().Snapshot(benchRef)
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				found := 0
				for range Diff(before, after) {
					found++
				}
				if found != changes {
					b.Fatalf("%d changes, want %d", found, changes)
				}
			}
		})
	}
}

// BenchmarkWhere is the cost of finding 100 rows by an attribute's value.
func BenchmarkWhere(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			const found = 100
			store := benchStore(n)
			store.Update(func(tx *Tx) {
				tx.SetTarget(benchTarget, benchColumns)
				for i := range found {
					tx.Put(benchRow(i*(n/found), 7), "")
				}
			})
			snapshot := store.State().Snapshot(benchRef)
			wanted := []Requirement{{Field: AttributeField("replicas"), Value: "7"}}
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				rows := 0
				for range snapshot.Where(wanted, Key{}) {
					rows++
				}
				if rows != found {
					b.Fatalf("found %d rows, want %d", rows, found)
				}
			}
		})
	}
}

// BenchmarkRemoveRow is the cost of a row that goes and comes back, with all that
// is indexed.
func BenchmarkRemoveRow(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			store := benchStore(n)
			random := rand.New(rand.NewPCG(1, 2))
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				row := benchRow(random.IntN(n), 0)
				store.Update(func(tx *Tx) { tx.Remove(row) })
				store.Update(func(tx *Tx) { tx.Put(row, "7") })
			}
		})
	}
}

// BenchmarkHeapPerRow is the live heap of rows in a store whose history is
// empty, and what the history adds.
func BenchmarkHeapPerRow(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		before := liveHeap()
		store := benchStore(n)
		all := liveHeap()
		store.history = newHistory(store.history.options, store.version)
		rows := liveHeap()
		b.ReportMetric(float64(rows-before)/n, "B/row")
		b.ReportMetric(float64(all-rows)/n, "history-B/row")
		reportIndex(b, store, n)
	}
	b.ReportMetric(0, "ns/op")
}

// reportIndex reports what the index takes of a row and field.
func reportIndex(b *testing.B, store *Store, n int) {
	store.history = nil
	store.state.Store(nil)
	inv := store.inventories[benchRef]
	store.snapshots.Clear()
	with := liveHeap()
	inv.index = nil
	b.ReportMetric(float64(with-liveHeap())/float64(n*fixedSets), "index-B/row/field")
	runtime.KeepAlive(store)
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
