package inventory

import (
	"io"
	"net/http"
	"testing"

	"k8s.io/client-go/rest"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// BenchmarkSnapshot downloads a million rows over TLS, client and server in one
// process. B/op is an upper bound of what a download takes beside the rows.
func BenchmarkSnapshot(b *testing.B) {
	const n = 1_000_000
	sample := sinktest.NewSample(apps)
	sample.Fill(n)
	config := serve(b, sample.Store())
	config.DisableCompression = true
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range format.All() {
		for _, encoding := range []string{"identity", "gzip"} {
			if f == format.Parquet && encoding == "gzip" {
				continue
			}
			b.Run(string(f)+"/"+encoding, func(b *testing.B) {
				b.ReportAllocs()
				var size int64
				for b.Loop() {
					request, err := http.NewRequestWithContext(b.Context(), "GET", config.Host+"/apis/inventory.kollect.io/v1alpha1/"+snapshotOfApps+"?format="+string(f), nil)
					if err != nil {
						b.Fatal(err)
					}
					request.Header.Set("Accept-Encoding", encoding)
					response, err := client.Do(request)
					if err != nil {
						b.Fatal(err)
					}
					if size, err = io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != 200 {
						b.Fatal(response.Status, err)
					}
					response.Body.Close()
				}
				b.ReportMetric(float64(size)/n, "B/row")
				b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
