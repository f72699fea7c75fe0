package clouds_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"google.golang.org/api/option"

	"kollect.io/kollect/pkg/sink/sinktest"
)

func TestGCS(t *testing.T) {
	address := freeAddress(t)
	var port uint16
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		Scheme: "http", Host: "127.0.0.1", Port: port, PublicHost: address, ExternalURL: "http://" + address,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	var buckets atomic.Int32
	make := func(t *testing.T) *destination {
		name := fmt.Sprintf("lake-%d", buckets.Add(1))
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: name})
		reader, err := gcsblob.OpenBucket(t.Context(), gcp.NewAnonymousHTTPClient(gcp.DefaultTransport()), name, &gcsblob.Options{
			ClientOptions: []option.ClientOption{option.WithEndpoint("http://" + address + "/storage/v1/"), storage.WithJSONReads()},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reader.Close() })
		return &destination{name: name, address: address, url: "gs://" + name + "?anonymous=true&endpoint=http://" + address, reader: reader}
	}
	sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return make(t) })
	t.Run("exports in parts", func(t *testing.T) { testLarge(t, make(t)) })
	t.Run("keeps data in the storage class", func(t *testing.T) {
		d := make(t)
		testClass(t, d, "NEARLINE", func(t *testing.T, key string) string {
			o, err := server.GetObject(d.name, key)
			if err != nil {
				t.Fatal(err)
			}
			return o.StorageClass
		})
	})
	t.Run("says what is denied", func(t *testing.T) { testDenied(t, make(t)) })
	t.Run("outlives a failure midway", func(t *testing.T) {
		testBroken(t, make(t), func(r *http.Request) bool {
			return r.URL.Query().Get("uploadType") == "resumable" && r.Header.Get("Content-Range") != ""
		})
	})
	t.Run("takes the identity of its Pod", func(t *testing.T) { testFederation(t, make(t)) })
	t.Run("needs the bucket", func(t *testing.T) {
		testNoBucket(t, &destination{url: "gs://not-there?anonymous=true&endpoint=http://" + address})
	})
}
