package bench

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkSync measures the first sync of all seeded ConfigMaps with five
// attributes, from the creation of the target until all rows are served.
//
// x-list is its time divided by the yardstick's: a bare LIST of the same
// objects by client-go's dynamic client, decoded, in one response from the
// watch cache. Both run in turn, in the same run; the yardstick decodes in this
// process, which does nothing else meanwhile.
func BenchmarkSync(b *testing.B) {
	env := start(b)
	source := env.source(b)
	list := func() time.Duration {
		began := time.Now()
		found, err := source.Resource(configMaps).List(b.Context(), metav1.ListOptions{ResourceVersion: "0"})
		must(b, err)
		if len(found.Items) < env.objects {
			b.Fatalf("the yardstick listed %d of %d objects", len(found.Items), env.objects)
		}
		return time.Since(began)
	}
	list() // warm kube-apiserver
	var ours, yardstick time.Duration
	for b.Loop() {
		yardstick += list()
		ours += env.collect(b)
		env.release(b)
	}
	b.ReportMetric(float64(ours)/float64(yardstick), "x-list")
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/sync")
	b.ReportMetric(0, "ns/op")
}
