package controller

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// resolved is a resource that the API server has.
type resolved struct {
	inventory.Resource
	namespaced bool
}

// String returns group/version/resource, as statuses show it.
func (r *resolved) String() string {
	if r.Group == "" {
		return r.Version + "/" + r.Resource.Resource
	}
	return r.Group + "/" + r.Version + "/" + r.Resource.Resource
}

// resolver finds the resources of kinds by discovery.
type resolver struct {
	discovery discovery.DiscoveryInterface

	mu     sync.Mutex // guards what follows; held while discovery is asked
	mapper meta.ResettableRESTMapper
	asked  time.Time // when what is cached was dropped
	stale  bool      // the API server has other resources since
}

// freshResources is for how long the absence of a resource is believed.
const freshResources = time.Second

func newResolver(client discovery.DiscoveryInterface) *resolver {
	r := &resolver{discovery: client}
	r.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
	return r
}

// reset makes the next resolve ask the API server.
func (r *resolver) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
}

func (r *resolver) drop() {
	r.asked, r.stale = time.Now(), false
	r.mapper.Reset()
}

// invalidate notes that the API server has other resources.
func (r *resolver) invalidate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
}

// resolve returns the resource of a kind. The error is worth another try; the
// problem is not, until the API server has other resources.
func (r *resolver) resolve(ref kollectv1alpha1.ResourceReference) (*resolved, *problem, error) {
	if ref.Group == ownGroup {
		return nil, ownAPIRefused, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var versions []string
	if ref.Version != "" {
		versions = []string{ref.Version}
	}
	if r.stale {
		r.drop()
	}
	kind := schema.GroupKind{Group: ref.Group, Kind: ref.Kind}
	mapping, err := r.mapper.RESTMapping(kind, versions...)
	if meta.IsNoMatchError(err) && time.Since(r.asked) > freshResources {
		r.drop()
		mapping, err = r.mapper.RESTMapping(kind, versions...)
	}
	if meta.IsNoMatchError(err) {
		return nil, notFound(ref), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find the resource of kind %s: %w", ref.Kind, err)
	}
	return &resolved{
		Resource: inventory.Resource{
			Group:    mapping.Resource.Group,
			Version:  mapping.Resource.Version,
			Resource: mapping.Resource.Resource,
			Kind:     mapping.GroupVersionKind.Kind,
		},
		namespaced: mapping.Scope.Name() == meta.RESTScopeNameNamespace,
	}, nil, nil
}

const (
	reasonOwnAPIRefused = "OwnAPIRefused"
	// ownGroup is the API group that this server serves.
	ownGroup = "inventory.kollect.io"
)

// ownAPIRefused is why the served API is not collected: a row of a served row
// would be served, and so be a row again, without end.
var ownAPIRefused = problemf(reasonOwnAPIRefused,
	"spec.resource: group %s is what is made of the rows, and is not collected: choose a kind of another group", ownGroup)

func notFound(ref kollectv1alpha1.ResourceReference) *problem {
	what := fmt.Sprintf("kind %s in group %q", ref.Kind, ref.Group)
	if ref.Version != "" {
		what += fmt.Sprintf(" and version %s", ref.Version)
	}
	mend := "install its CustomResourceDefinition or the API server that serves it, or correct the field"
	if slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}, ref.Kind) && ref.Group == "" {
		mend = "set group: apps"
	}
	return problemf(reasonResourceNotFound, "spec.resource: the API server has no %s: %s; it is looked for every %s", what, mend, resolveInterval)
}
