package clouds_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	azureblobs "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	"kollect.io/kollect/test/services/azurite"
)

// azure is a server with an account, whose containers are made as they are asked
// for.
type azure struct {
	server     *azurite.Server
	containers atomic.Int32
}

func startAzure(t *testing.T) *azure {
	t.Helper()
	server, err := azurite.Start(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &azure{server: server}
}

func (a *azure) secret() map[string][]byte {
	return map[string][]byte{"accountName": []byte(azurite.Account), "accountKey": []byte(a.server.Key())}
}

// url of the container at the server, or at what is in front of it.
func (a *azure) url(name, address string) string {
	return "azblob://" + name + "?localemu=true&protocol=http&domain=" + address
}

// make makes a container.
func (a *azure) make(t *testing.T) *destination {
	t.Helper()
	name := fmt.Sprintf("lake-%d", a.containers.Add(1))
	client, err := container.NewClientFromConnectionString(fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=http://%s/%s",
		azurite.Account, a.server.Key(), a.server.Address(), azurite.Account), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	reader, err := azureblob.OpenBucket(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return &destination{name: name, address: a.server.Address(), url: a.url(name, a.server.Address()), secret: a.secret(), reader: reader}
}

func TestAzure(t *testing.T) {
	a := startAzure(t)
	sinktest.TestSnapshots(t, func(t *testing.T) sinktest.Snapshots { return a.make(t) })
	t.Run("exports in parts", func(t *testing.T) { testLarge(t, a.make(t)) })
	t.Run("keeps data in the access tier", func(t *testing.T) {
		d := a.make(t)
		testClass(t, d, "Cool", func(t *testing.T, key string) string {
			attributes, err := d.reader.Attributes(t.Context(), key)
			var properties azureblobs.GetPropertiesResponse
			if err != nil || !attributes.As(&properties) || properties.AccessTier == nil {
				t.Fatalf("%s has no tier: %v", key, err)
			}
			return *properties.AccessTier
		})
	})
	t.Run("says what is denied", func(t *testing.T) { testDenied(t, a.make(t)) })
	t.Run("outlives a failure midway", func(t *testing.T) {
		testBroken(t, a.make(t), func(r *http.Request) bool { return r.URL.Query().Get("comp") == "block" })
	})
	t.Run("needs the container", func(t *testing.T) {
		testNoBucket(t, &destination{url: a.url("not-there", a.server.Address()), secret: a.secret()})
	})
	t.Run("needs the right key", func(t *testing.T) {
		const wrong = "YW5vdGhlci1zZWNyZXQ="
		d := a.make(t)
		d.secret["accountKey"] = []byte(wrong)
		store := d.Open(t)
		defer store.Close()
		_, err := store.Mark(t.Context(), sinktest.NewSample(inventory.Ref{Name: "platform"}).Snapshot().Inventory())
		if err == nil || !sink.IsPermanent(err) || strings.Contains(err.Error(), wrong) {
			t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
		}
	})
}
