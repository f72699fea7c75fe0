package kubernetes

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

var served = []string{"accessiblerows", "clusterinventories", "clusterinventoryrows", "inventories", "inventoryrows"}

// Of test/e2e/apimachinery/discovery.go, aggregated_discovery.go and openapiv3.go.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := &scene{T: t, suite: &shared}
	client := s.core.Discovery()
	version := inventoryv1alpha1.SchemeGroupVersion

	t.Run("should accurately determine present and missing resources", func(t *testing.T) {
		for _, resource := range append([]string{"please-dont-ever-create-this"}, served...) {
			got, err := discovery.IsResourceEnabled(client, version.WithResource(resource))
			if want := slices.Contains(served, resource); err != nil || got != want {
				t.Errorf("%s is there: got %t (%v), want %t", resource, got, err, want)
			}
		}
	})

	t.Run("should validate the preferred version, and locate it and its resources within the group", func(t *testing.T) {
		s := s.in(t)
		groups := &metav1.APIGroupList{}
		s.must(client.RESTClient().Get().AbsPath("/apis/").Do(t.Context()).Into(groups))
		at := slices.IndexFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == version.Group })
		if at < 0 {
			t.Fatalf("no group %s in the list of groups", version.Group)
		}
		group := &metav1.APIGroup{}
		s.must(client.RESTClient().Get().AbsPath("/apis/", version.Group).Do(t.Context()).Into(group))
		for _, g := range []metav1.APIGroup{groups.Groups[at], *group} {
			if g.PreferredVersion.GroupVersion != version.String() || !slices.Contains(g.Versions, g.PreferredVersion) {
				t.Errorf("got preferred version %v of %v, want %s", g.PreferredVersion, g.Versions, version)
			}
		}
		resources := &metav1.APIResourceList{}
		s.must(client.RESTClient().Get().AbsPath("/apis/", version.Group, version.Version).Do(t.Context()).Into(resources))
		if resources.GroupVersion != version.String() {
			t.Errorf("group version: got %s, want %s", resources.GroupVersion, version)
		}
		for _, want := range served {
			at := slices.IndexFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == want })
			if at < 0 {
				t.Errorf("no resource %s", want)
			} else if got := resources.APIResources[at].Verbs; !slices.Equal(got, []string{"get", "list", "watch"}) {
				t.Errorf("verbs of %s: got %v", want, got)
			}
		}
	})

	t.Run("should support aggregated discovery endpoint Accept headers", func(t *testing.T) {
		s := s.in(t)
		body, err := client.RESTClient().Get().AbsPath("/apis").SetHeader("Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").DoRaw(t.Context())
		s.must(err)
		groups := &apidiscoveryv2.APIGroupDiscoveryList{}
		s.must(json.Unmarshal(body, groups))
		var got []string
		for _, g := range groups.Items {
			for _, v := range g.Versions {
				if (schema.GroupVersion{Group: g.Name, Version: v.Version}) != version {
					continue
				}
				if v.Freshness != apidiscoveryv2.DiscoveryFreshnessCurrent {
					t.Errorf("freshness: got %s, want %s", v.Freshness, apidiscoveryv2.DiscoveryFreshnessCurrent)
				}
				for _, r := range v.Resources {
					got = append(got, r.Resource)
				}
			}
		}
		if slices.Sort(got); !slices.Equal(got, served) {
			t.Errorf("got resources %v, want %v", got, served)
		}
	})

	t.Run("should contain OpenAPI V3 for an aggregated API server", func(t *testing.T) {
		s := s.in(t)
		var spec *spec3.OpenAPI
		s.until(func() (err error) { // the aggregator takes a moment
			spec, err = openapi3.NewRoot(client.OpenAPIV3()).GVSpec(version)
			return err
		})
		encoded, err := json.Marshal(spec)
		s.must(err)
		again := &spec3.OpenAPI{}
		s.must(json.Unmarshal(encoded, again))
		twice, err := json.Marshal(again)
		s.must(err)
		if diff := cmp.Diff(string(encoded), string(twice)); diff != "" {
			t.Errorf("a round trip changes it:\n%s", diff)
		}
		if got := spec.Paths.Paths["/apis/"+version.String()+"/inventoryrows"]; got == nil {
			t.Error("it does not have the path of inventoryrows")
		}
	})
}
