package bench

import (
	"io"
	"testing"
	"time"
)

const (
	allowedNamespaces = 10
	accessRounds      = 300
)

// BenchmarkAccess measures, in this process and without a cluster, a list of
// accessiblerows by a caller who may list the objects of 10 namespaces, over
// HTTP and TLS, while an inventory has 100 rows of each of many more. The caller
// has asked before: who may list what is remembered for seconds, and asked again
// in the meantime. The authorizer answers at once.
//
// x-10k-ns is its time with 10,000 namespaces (BENCH_NAMESPACES) divided by that
// of a list of clusterinventoryrows from a store that has nothing but the caller's
// rows. x-1k-ns is the same with a tenth of them. first-ms is the first list, for
// which all 10,000 are asked about. They take turns; the figures are of medians.
func BenchmarkAccess(b *testing.B) {
	many := fromEnv(b, "BENCH_NAMESPACES", 10_000)
	if many < allowedNamespaces {
		b.Fatalf("BENCH_NAMESPACES is %d; give a number from %d on", many, allowedNamespaces)
	}
	namespaces, only := map[string]bool{}, map[int]bool{}
	for i := range allowedNamespaces {
		at := i * (many / 10) / allowedNamespaces // spread over the fewer
		namespaces[syntheticNamespace(at)], only[at] = true, true
	}
	rights := listing(namespaces)
	const group = "/apis/inventory.kollect.io/v1alpha1/"
	accessible := func(namespaces int) *side {
		return newSide(b, serve(b, syntheticStore(b, namespaces*valueRows, nil), rights), group+"accessiblerows", "")
	}
	fewer, more := accessible(many/10), accessible(many)
	alone := newSide(b, serve(b, syntheticStore(b, many*valueRows, only), rights), group+"clusterinventoryrows", "")
	first := more.read(b, fromCache, asJSON, io.Discard)
	for _, s := range []*side{fewer, more, alone} {
		s.body(b, fromCache, asJSON, `"source":`, allowedNamespaces*valueRows)
	}
	var fewerTook, moreTook, aloneTook []time.Duration
	for b.Loop() {
		for range accessRounds {
			fewerTook = append(fewerTook, fewer.read(b, fromCache, asJSON, io.Discard))
			aloneTook = append(aloneTook, alone.read(b, fromCache, asJSON, io.Discard))
			moreTook = append(moreTook, more.read(b, fromCache, asJSON, io.Discard))
		}
	}
	yardstick := float64(median(aloneTook))
	b.ReportMetric(float64(median(fewerTook))/yardstick, "x-1k-ns")
	b.ReportMetric(float64(median(moreTook))/yardstick, "x-10k-ns")
	b.ReportMetric(float64(first)/1e6, "first-ms")
	b.ReportMetric(yardstick/1e6, "yardstick-ms")
	b.ReportMetric(0, "ns/op")
}
