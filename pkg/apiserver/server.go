package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/compatibility"
	flowcontrolrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/component-base/version"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	generatedopenapi "kollect.io/kollect/pkg/generated/openapi"
	"kollect.io/kollect/pkg/inventory"
	inventoryregistry "kollect.io/kollect/pkg/registry/inventory"
)

// Name of the server in its logs, metrics and discovery.
const Name = "kollect-apiserver"

const (
	// countPeriod is how often objects are counted.
	countPeriod = 10 * time.Second
	// averageObjectSize is about what a row takes in JSON.
	averageObjectSize = 1 << 10
)

// Config is what a server is made of.
type Config struct {
	// Generic is the configuration of the generic server. Its ClientConfig is for
	// the cluster that is inventoried.
	Generic *genericapiserver.RecommendedConfig

	scheme   *runtime.Scheme
	codecs   serializer.CodecFactory
	reviewer authorizer.UnconditionalAuthorizer

	listCacheSize int // in bytes
}

// Config returns the configuration of the options, which must be complete and
// valid. It reads the delegated authentication's settings from the cluster.
func (o *Options) Config() (*Config, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	codecs := serializer.NewCodecFactory(scheme)
	generic := genericapiserver.NewRecommendedConfig(codecs)
	generic.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	setOpenAPI(generic, scheme)
	if err := o.Recommended.ApplyTo(generic); err != nil {
		return nil, fmt.Errorf("configure server: %w", err)
	}
	endStalls(&generic.Config)
	gatherWrites(&generic.Config)
	reviewer, err := o.newReviewer()
	if err != nil {
		return nil, err
	}
	return &Config{Generic: generic, scheme: scheme, codecs: codecs, reviewer: reviewer, listCacheSize: int(o.ListCacheSize.Value())}, nil
}

// newScheme returns the served kinds, and those that every server has.
func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := inventoryregistry.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register served kinds: %w", err)
	}
	unversioned := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, unversioned)
	scheme.AddUnversionedTypes(unversioned,
		&metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	return scheme, nil
}

func setOpenAPI(config *genericapiserver.RecommendedConfig, scheme *runtime.Scheme) {
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title, config.OpenAPIV3Config.Info.Title = "Kollect", "Kollect"
	config.OpenAPIConfig.Info.Version, config.OpenAPIV3Config.Info.Version = version.Get().GitVersion, version.Get().GitVersion
}

// CompletedConfig is a configuration with all defaults filled in.
type CompletedConfig struct {
	generic genericapiserver.CompletedConfig
	scheme  *runtime.Scheme
	codecs  serializer.CodecFactory

	reviewer authorizer.UnconditionalAuthorizer

	listCacheSize int
}

// Complete fills in the defaults.
func (c *Config) Complete() CompletedConfig {
	return CompletedConfig{
		generic: c.Generic.Complete(), scheme: c.scheme, codecs: c.codecs, reviewer: c.reviewer, listCacheSize: c.listCacheSize,
	}
}

// Server serves what is in a store.
type Server struct {
	Generic *genericapiserver.GenericAPIServer
}

// New returns a server of what is in the store. What runs beside it is added to
// Generic as post-start hooks, before Run.
func (c CompletedConfig) New(store *inventory.Store) (*Server, error) {
	serializer := inventoryregistry.NewSerializer(c.scheme)
	c.limitLoad(store, serializer)
	generic, err := c.generic.New(Name, genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(inventoryv1alpha1.GroupName, c.scheme, runtime.NewParameterCodec(c.scheme), c.codecs)
	group.NegotiatedSerializer = serializer
	var encodings *inventory.Encodings
	if c.listCacheSize > 0 {
		encodings = inventory.NewEncodings(c.listCacheSize)
	}
	group.VersionedResourcesStorageMap[inventoryv1alpha1.SchemeGroupVersion.Version] = inventoryregistry.New(store, serializer, c.reviewer, encodings)
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install %s: %w", inventoryv1alpha1.GroupName, err)
	}
	if err := generic.AddPostStartHook("object-counts", countObjects(store, c.generic.StorageObjectCountTracker)); err != nil {
		return nil, fmt.Errorf("create server: %w", err)
	}
	return &Server{Generic: generic}, nil
}

// limitLoad has requests cost what they read of the store, and bounds those that
// take memory for all of it. Tables do not, since the serializer's lists stream
// them.
func (c CompletedConfig) limitLoad(store *inventory.Store, serializer runtime.NegotiatedSerializer) {
	if c.generic.FlowControl != nil {
		c.generic.FlowControl = honestCosts{c.generic.FlowControl, store}
	}
	build := c.generic.BuildHandlerChainFunc
	c.generic.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		bounded := withBuiltAnswers(handler, store, c.codecs)
		return build(inventoryregistry.WithTables(bounded, serializer), config)
	}
}

// countObjects tells priority and fairness what lists cost, for as long as the
// server runs.
func countObjects(store *inventory.Store, tracker flowcontrolrequest.StorageObjectCountTracker) genericapiserver.PostStartHookFunc {
	count := func(context.Context) {
		for resource, n := range inventoryregistry.Counts(store.State()) {
			tracker.Set(resource.String(), storage.Stats{ObjectCount: int64(n), EstimatedAverageObjectSizeBytes: averageObjectSize})
		}
	}
	return func(hook genericapiserver.PostStartHookContext) error {
		count(hook)
		go wait.UntilWithContext(hook, count, countPeriod)
		return nil
	}
}

// Run serves until the context ends, and then for as long as it takes to end
// orderly.
func (s *Server) Run(ctx context.Context) error {
	return s.Generic.PrepareRun().RunWithContext(ctx)
}
