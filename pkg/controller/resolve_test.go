package controller

import (
	"errors"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

var gateways = &metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
	{Name: "gateways", Kind: "Gateway", Namespaced: true},
}}

func TestResourcesAreFoundByDiscovery(t *testing.T) {
	h := newHarness(t)
	h.serve(gateways)
	h.serve(&metav1.APIResourceList{GroupVersion: inventoryv1alpha1.SchemeGroupVersion.String(), APIResources: []metav1.APIResource{
		{Name: "inventoryrows", Kind: "InventoryRow", Namespaced: true},
	}})
	for _, tc := range []struct {
		name       string
		ref        kollectv1alpha1.ResourceReference
		want       string
		namespaced bool
		reason     string
	}{
		{"of the core group", kollectv1alpha1.ResourceReference{Kind: "ConfigMap"}, "v1/configmaps", true, ""},
		{"without namespaces", kollectv1alpha1.ResourceReference{Kind: "Node"}, "v1/nodes", false, ""},
		{"with a plural that is no rule", kollectv1alpha1.ResourceReference{Group: "example.com", Kind: "Gateway"}, "example.com/v1/gateways", true, ""},
		{"of a version", kollectv1alpha1.ResourceReference{Group: "example.com", Version: "v1", Kind: "Gateway"}, "example.com/v1/gateways", true, ""},
		{"of another version", kollectv1alpha1.ResourceReference{Group: "example.com", Version: "v2", Kind: "Gateway"}, "", false, "ResourceNotFound"},
		{"of another group", kollectv1alpha1.ResourceReference{Kind: "Deployment"}, "", false, "ResourceNotFound"},
		{"Secrets", kollectv1alpha1.ResourceReference{Kind: "Secret"}, "v1/secrets", true, ""},
		{"of the served group", kollectv1alpha1.ResourceReference{Group: inventoryv1alpha1.GroupName, Kind: "InventoryRow"}, "", false, "OwnAPIRefused"},
		{"of the served group, in a version", kollectv1alpha1.ResourceReference{Group: inventoryv1alpha1.GroupName, Version: "v1alpha1", Kind: "InventoryRow"}, "", false, "OwnAPIRefused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, problem, err := h.resolver.resolve(tc.ref)
			switch {
			case err != nil:
				t.Fatal(err)
			case tc.reason != "":
				if problem == nil || problem.reason != tc.reason {
					t.Errorf("found %v, problem %+v; want %s", found, problem, tc.reason)
				}
			case problem != nil || found.String() != tc.want || found.namespaced != tc.namespaced:
				t.Errorf("found %v, problem %+v; want %s", found, problem, tc.want)
			}
		})
	}
}

func TestAKindIsFoundWhenItAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		ref := kollectv1alpha1.ResourceReference{Group: "example.com", Kind: "Gateway"}
		find := func() string {
			found, problem, err := h.resolver.resolve(ref)
			if err != nil {
				t.Fatal(err)
			}
			if problem != nil {
				return problem.reason
			}
			return found.String()
		}
		if got := find(); got != "ResourceNotFound" {
			t.Fatal(got)
		}
		h.serve(gateways)
		if got := find(); got != "ResourceNotFound" { // asked a moment ago
			t.Errorf("found %s without asking", got)
		}
		h.resolver.invalidate()
		if got := find(); got != "example.com/v1/gateways" {
			t.Error(got)
		}
	})
}

func TestAFailingDiscoveryTakesNoResourceAway(t *testing.T) {
	h := newHarness(t, clusterProfile("maps", "ConfigMap"), clusterTarget("maps", "maps"))
	k := key{Name: "maps"}
	h.reconcile(h.reconcileProfile, k)
	h.reconcile(h.reconcileTarget, k)
	h.core.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is down")
	})
	h.resolver.invalidate()
	if err := h.reconcileProfile(t.Context(), k); err == nil {
		t.Error("there is no error, so that it is not tried again")
	}
	h.reconcile(h.reconcileTarget, k)
	if told, ok := h.told("maps"); !ok || told.Suspend {
		t.Errorf("told %+v, want what was before", told)
	}
}

func TestAResourceThatGoesIsShownAndStaysWithItsTargets(t *testing.T) {
	h := newHarness(t)
	h.serve(gateways)
	p := clusterProfile("gateways", "Gateway")
	p.Spec.Resource.Group = "example.com"
	h.see(p)
	h.see(clusterTarget("gateways", "gateways"))
	k := key{Name: "gateways"}
	h.reconcile(h.reconcileProfile, k)
	h.reconcile(h.reconcileTarget, k)
	h.forgetResources("example.com/v1")
	h.resolver.invalidate()
	h.reconcile(h.reconcileProfile, k)
	h.reconcile(h.reconcileTarget, k)
	if told, ok := h.told("gateways"); !ok || told.Suspend || h.collector.sets != 1 {
		t.Errorf("told %+v, want what was before: the collector sees that the resource went", told)
	}
	o, _ := h.profileKind.lookup(k)
	status := h.profileStatus.change(o, func(*kollectv1alpha1.ProfileStatus) {})
	wantCondition(t, status.Conditions, "Ready", "False", "ResourceNotFound", "Gateway", "example.com")
	if missing := h.profiles.missing(); len(missing) != 1 {
		t.Errorf("looked for again: %v", missing)
	}
}

func TestAProfileWithoutVersionStaysWithItsVersion(t *testing.T) {
	h := newHarness(t)
	h.serve(gateways)
	p := clusterProfile("gateways", "Gateway")
	p.Spec.Resource.Group = "example.com"
	h.see(p)
	h.see(clusterTarget("gateways", "gateways"))
	k := key{Name: "gateways"}
	want := func(version string) {
		t.Helper()
		h.resolver.invalidate()
		h.reconcile(h.reconcileProfile, k)
		h.reconcile(h.reconcileTarget, k)
		if told, _ := h.told("gateways"); told.Resource.Version != version || told.Suspend {
			t.Errorf("told of %s, suspended: %v; want %s", told.Resource, told.Suspend, version)
		}
	}
	want("v1")
	v2 := gateways.DeepCopy()
	v2.GroupVersion = "example.com/v2"
	d := h.core.Discovery().(*fake.FakeDiscovery)
	d.Resources = append([]*metav1.APIResourceList{v2}, d.Resources...) // now preferred
	want("v1")
	edited := p.DeepCopy()
	edited.Generation, edited.Spec.Attributes = 2, []kollectv1alpha1.Attribute{{Name: "class", CEL: "object.spec.class"}}
	h.see(edited)
	want("v1")
	down := true
	h.core.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return down, nil, errors.New("the API server is down")
	})
	edited = edited.DeepCopy()
	edited.Generation = 3
	h.see(edited)
	h.resolver.invalidate()
	h.reconcile(h.reconcileProfile, k)
	down = false
	want("v1")
	h.forgetResources("example.com/v1")
	want("v2")
	again := edited.DeepCopy()
	again.Generation, again.Spec.Resource.Version = 4, "v1"
	h.serve(gateways)
	h.see(again)
	want("v1")
}
