package kubernetes

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/generated/clientset/versioned"
)

// Of test/e2e/apimachinery/protocol.go. There is no protobuf of what is served, so
// clients that take nothing else are told so; the others get JSON.
func TestClientsNegotiateWatches(t *testing.T) {
	t.Parallel()
	s := begin(t, "protocol")
	before, err := s.views[0].client.List(t.Context(), metav1.ListOptions{})
	s.must(err)
	s.putWait("one", nil, map[string]string{"value": "0"})
	for _, accept := range []string{
		"application/json",
		"application/vnd.kubernetes.protobuf",
		"application/vnd.kubernetes.protobuf,application/json",
		"application/json,application/vnd.kubernetes.protobuf",
	} {
		t.Run(accept, func(t *testing.T) {
			s := s.in(t)
			config := *s.reader
			config.AcceptContentTypes = accept
			client, err := versioned.NewForConfig(&config)
			s.must(err)
			open := func(version string) (watch.Interface, error) {
				return client.InventoryV1alpha1().InventoryRows(s.ns).Watch(t.Context(), metav1.ListOptions{ResourceVersion: version, FieldSelector: "source.name=one"})
			}
			w, err := open(before.GetResourceVersion())
			if accept == "application/vnd.kubernetes.protobuf" {
				if !apierrors.IsNotAcceptable(err) {
					t.Errorf("got %v, want 406", err)
				}
				return
			}
			s.must(err)
			defer w.Stop()
			e := <-w.ResultChan()
			if row, ok := e.Object.(*inventoryv1alpha1.InventoryRow); !ok || e.Type != watch.Added || row.Source.Name != "one" {
				t.Errorf("got %s %v, want the row of one", e.Type, e.Object)
			}
			old, err := open("1")
			s.must(err)
			defer old.Stop()
			if e := <-old.ResultChan(); e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
				t.Errorf("of a version that is not kept: got %s %v, want that it is expired", e.Type, e.Object)
			}
		})
	}
}
