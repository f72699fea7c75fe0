package inventory

import (
	"context"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	inventoryclient "kollect.io/kollect/pkg/generated/clientset/versioned/typed/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// readPages lists page by page, over and over, of replicas of which any gives the
// next page. A list is one state of one replica, or it expires. It ends when it
// has seen both and is told to.
func readPages(t *testing.T, ctx context.Context, config *rest.Config, s *service, stop <-chan struct{}) {
	config = rest.CopyConfig(config)
	config.UserAgent = readerOfPages
	client := inventoryclient.NewForConfigOrDie(config).InventoryRows("")
	contents := contents(rows{inventory.Namespaced}, false)
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	whole, expired, patience := 0, 0, 200
	for stopped := false; !stopped || whole == 0 || expired == 0; <-pause.C {
		select {
		case <-stop:
			stopped = true
			patience--
		default:
		}
		if patience == 0 {
			t.Errorf("%d lists were whole and %d expired: want some of both", whole, expired)
			return
		}
		got, version, err := listPages(ctx, client)
		switch {
		case ctx.Err() != nil:
			return
		case errors.IsResourceExpired(err):
			expired++
			continue
		case err != nil:
			t.Errorf("list: %v", err)
			return
		}
		whole++
		state, err := s.replica(epochOf(version)).store.At(version)
		if err != nil {
			t.Errorf("list of version %d: %v", version, err)
			return
		}
		if want := contents(state); !maps.Equal(got, want) {
			t.Errorf("list of version %d (-want +got):\n%.2000s", version, cmp.Diff(want, got))
		}
	}
}

// listPages returns a whole list, and the version of its last page.
func listPages(ctx context.Context, client inventoryclient.InventoryRowInterface) (got map[string]string, version uint64, err error) {
	got = map[string]string{}
	options := metav1.ListOptions{Limit: 20}
	for {
		list, err := client.List(ctx, options)
		if err != nil {
			return nil, 0, err
		}
		for i := range list.Items {
			got[objectKey(list.Items[i].Namespace, list.Items[i].Name)] = content(&list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			version, err = strconv.ParseUint(list.ResourceVersion, 10, 64)
			return got, version, err
		}
	}
}
