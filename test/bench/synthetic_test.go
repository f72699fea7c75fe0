package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	generatedopenapi "kollect.io/kollect/pkg/generated/openapi"
	"kollect.io/kollect/pkg/inventory"
	inventoryregistry "kollect.io/kollect/pkg/registry/inventory"
)

// valueRows is how many rows of a synthetic store have the same image, and how
// many are in a namespace.
const valueRows = 100

var (
	syntheticRef    = inventory.Ref{Name: benchName}
	syntheticTarget = inventory.TargetRef{Name: benchName}
	configMapKind   = inventory.Resource{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}
)

func syntheticNamespace(i int) string { return fmt.Sprintf("bench-%05d", i) }

func syntheticImage(i int) string { return fmt.Sprintf("registry.example.com/team/app-%05d:1.27", i) }

// syntheticStore returns a store with a cluster inventory of n rows, 100 to a
// namespace and 100 with the same image; those of a namespace have different
// ones. With only, it has those of these namespaces alone.
func syntheticStore(b *testing.B, n int, only map[int]bool) *inventory.Store {
	b.Helper()
	store := inventory.NewStore(inventory.Options{Epoch: 1, HistoryEvents: 1000})
	store.Update(func(tx *inventory.Tx) {
		tx.SetTarget(syntheticTarget, []inventory.Column{{Name: "image", Type: inventory.ColumnString}})
		tx.SetTargetState(syntheticTarget, inventory.TargetState{Synced: true})
		tx.SetInventory(inventory.Inventory{Ref: syntheticRef, Cluster: benchName, Targets: []inventory.TargetRef{syntheticTarget}})
	})
	const batch = 10_000
	for from := 0; from < n; from += batch {
		store.Update(func(tx *inventory.Tx) {
			for i := from; i < min(n, from+batch); i++ {
				if only == nil || only[i/valueRows] {
					tx.Put(syntheticRow(b, i, n), "")
				}
			}
		})
	}
	return store
}

func syntheticRow(b *testing.B, i, n int) *inventory.Row {
	cm := configMap(i)
	cm.Data["image"] = syntheticImage(i % (n / valueRows))
	attributes, err := json.Marshal(cm.Data)
	must(b, err)
	return inventory.NewRow(inventory.RowContent{
		Resource: &configMapKind, Target: &syntheticTarget, Namespace: syntheticNamespace(i / valueRows),
		Name: cm.Name, UID: string(cm.UID), Created: cm.CreationTimestamp.Time, Labels: cm.Labels, Attributes: attributes,
	})
}

// serve serves a store over TLS in this process, everything to a caller whose
// rights on the sources are what the authorizer says.
func serve(b *testing.B, store *inventory.Store, rights authorizer.Authorizer) *rest.Config {
	b.Helper()
	scheme := runtime.NewScheme()
	must(b, inventoryregistry.AddToScheme(scheme))
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, v1)
	scheme.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	codecs := serializer.NewCodecFactory(scheme)
	config := genericapiserver.NewConfig(codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.ExternalAddress = "127.0.0.1:443"
	config.LoopbackClientConfig = &rest.Config{}
	config.Authentication.Authenticator = authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "alice", Groups: []string{user.AllAuthenticated}}}, true, nil
	})
	config.Authorization.Authorizer = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionAllow, "", nil
	})
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	server, err := config.Complete(nil).New(benchName, genericapiserver.NewEmptyDelegate())
	must(b, err)
	serializer := inventoryregistry.NewSerializer(scheme)
	group := genericapiserver.NewDefaultAPIGroupInfo(inventoryv1alpha1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.NegotiatedSerializer = serializer
	group.VersionedResourcesStorageMap[inventoryv1alpha1.SchemeGroupVersion.Version] = inventoryregistry.New(store, serializer, rights, nil)
	must(b, server.InstallAPIGroup(&group))
	listener := httptest.NewUnstartedServer(server.PrepareRun().Handler)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	b.Cleanup(listener.Close)
	b.Cleanup(listener.CloseClientConnections)
	return &rest.Config{Host: listener.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// listing lets callers list the objects of some namespaces, and nothing else.
func listing(namespaces map[string]bool) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(_ context.Context, asked authorizer.Attributes) (authorizer.Decision, string, error) {
		if asked.GetVerb() == "list" && namespaces[asked.GetNamespace()] {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}
