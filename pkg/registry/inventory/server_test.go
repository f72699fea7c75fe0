package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	registryrest "k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	generatedopenapi "kollect.io/kollect/pkg/generated/openapi"
	"kollect.io/kollect/pkg/inventory"
)

// serve returns a client configuration for a server of the store over TLS.
func serve(t testing.TB, s *inventory.Store) *rest.Config {
	t.Helper()
	return serveWith(t, s, nobody)
}

// serveWith is serve with an authorizer of accessible rows. It believes who
// clients say they are by their bearer tokens.
func serveWith(t testing.TB, s *inventory.Store, may authorizer.UnconditionalAuthorizer) *rest.Config {
	t.Helper()
	return serveHandler(t, handler(t, s, may))
}

func serveHandler(t testing.TB, handler http.Handler) *rest.Config {
	t.Helper()
	listener := httptest.NewUnstartedServer(handler)
	listener.EnableHTTP2 = true
	listener.StartTLS()
	t.Cleanup(listener.Close)
	t.Cleanup(listener.CloseClientConnections)
	return &rest.Config{Host: listener.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
}

// handler returns a server of the store.
func handler(t testing.TB, s *inventory.Store, may authorizer.UnconditionalAuthorizer) http.Handler {
	t.Helper()
	return handlerWith(t, s, may, WithTables)
}

// handlerWith is handler with another that handles requests just before the API
// server's own do.
func handlerWith(t testing.TB, s *inventory.Store, may authorizer.UnconditionalAuthorizer, before func(http.Handler, runtime.NegotiatedSerializer) http.Handler) http.Handler {
	t.Helper()
	return handlerOf(t, New(s, NewSerializer(newScheme(t)), may, inventory.NewEncodings(1<<20)), before)
}

// handlerOf returns a server of storages.
func handlerOf(t testing.TB, storages map[string]registryrest.Storage, before func(http.Handler, runtime.NegotiatedSerializer) http.Handler) http.Handler {
	t.Helper()
	scheme := newScheme(t)
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, v1)
	scheme.AddUnversionedTypes(v1, &metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	codecs := serializer.NewCodecFactory(scheme)
	config := genericapiserver.NewConfig(codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.ExternalAddress = "127.0.0.1:443"
	config.Authentication.Authenticator = authenticator.RequestFunc(func(request *http.Request) (*authenticator.Response, bool, error) {
		name := strings.TrimPrefix(request.Header.Get("Authorization"), "Bearer ")
		return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
	})
	config.LoopbackClientConfig = &rest.Config{}
	text := NewSerializer(scheme)
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return genericapiserver.DefaultBuildHandlerChain(before(handler, text), c)
	}
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	server, err := config.Complete(nil).New("test", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatal(err)
	}
	group := genericapiserver.NewDefaultAPIGroupInfo(inventoryv1alpha1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.NegotiatedSerializer = text
	group.VersionedResourcesStorageMap["v1alpha1"] = storages
	if err := server.InstallAPIGroup(&group); err != nil {
		t.Fatal(err)
	}
	return server.PrepareRun().Handler
}

// get returns the answer to a request for a path below the group's.
func get(t testing.TB, config *rest.Config, method, path, accept string) (int, http.Header, []byte) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/apis/inventory.kollect.io/v1alpha1/" + path
	}
	request, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}

const (
	asJSON  = "application/json"
	asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
	asMeta  = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
)

func TestRequests(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 30)
	config := serve(t, s)
	l := mustList(t, in(t, "team-a"), newStore(s, rows{inventory.Namespaced}, ""), options{})
	name := mustFirst(l).name()
	for _, test := range []struct {
		method, path, accept string
		code                 int
		want                 string
	}{
		{"GET", "inventoryrows", asJSON, 200, `{"kind":"InventoryRowList","apiVersion":"inventory.kollect.io/v1alpha1","metadata":{"resourceVersion":"`},
		{"GET", "inventoryrows?limit=7", asJSON, 200, `"remainingItemCount":23`},
		{"GET", "inventoryrows", asTable, 200, `{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"`},
		{"GET", "inventoryrows", asMeta, 200, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"` + name},
		{"GET", "inventoryrows", "application/yaml", 200, "apiVersion: inventory.kollect.io/v1alpha1\nitems:\n- attributes:\n"},
		{"GET", "inventoryrows?pretty=true", asJSON, 200, "{\n  \"kind\": \"InventoryRowList\","},
		{"GET", "inventoryrows", "application/vnd.kubernetes.protobuf,application/json", 200, `"kind":"InventoryRowList"`},
		{"GET", "inventoryrows", "application/vnd.kubernetes.protobuf", 406, `Available representations: application/json, application/yaml`},
		{"GET", "clusterinventoryrows", asJSON, 200, `"items":[]}`},
		{"GET", "clusterinventoryrows", asTable, 200, `"rows":[]`},
		{"GET", "inventories", asTable, 200, `"Deployment=30"`},
		{"GET", "namespaces/team-a/inventories/apps", asJSON, 200, `"contentHash":"sha256:`},
		{"GET", "namespaces/team-a/inventories/none", asJSON, 404, `inventories.inventory.kollect.io \"none\" not found`},
		{"GET", "namespaces/team-a/inventoryrows/" + name, asJSON, 200, `{"kind":"InventoryRow","apiVersion":"inventory.kollect.io/v1alpha1","metadata":{"name":"` + name},
		{"GET", "namespaces/team-a/inventoryrows/" + name, asTable, 200, `"kind":"PartialObjectMetadata"`},
		{"GET", "namespaces/team-a/inventoryrows/" + name, asTable, 200, `"name":"Image"`},
		{"GET", "namespaces/team-a/inventoryrows/" + name + "?includeObject=Object", asTable, 200, `"kind":"InventoryRow"`},
		{"GET", "namespaces/team-a/inventoryrows?fieldSelector=metadata.name%3D" + name, asJSON, 200, name},
		{"GET", "inventoryrows?fieldSelector=spec.x%3D1", asJSON, 400, `valid are metadata.name, metadata.namespace, inventory, source.group`},
		{"GET", "inventoryrows?fieldSelector=attributes.replicas%3D7,source.name!%3Dx", asJSON, 200, `"name":"app-7"`},
		{"GET", "inventoryrows?fieldSelector=attributes.x%3D1", asJSON, 400, `target, attributes.image, attributes.replicas","reason":"BadRequest"`},
		{"GET", "inventoryrows?fieldSelector=attributes.x%3D1&watch=1", asJSON, 400, `target, attributes.image, attributes.replicas","reason":"BadRequest"`},
		{"GET", "inventoryrows?fieldSelector=attributes.%3D1", asJSON, 400, `target, attributes.\u003cname of a promoted attribute\u003e`},
		{"GET", "inventories?fieldSelector=attributes.image%3D1", asJSON, 400, `valid are metadata.name, metadata.namespace","reason":"BadRequest"`},
		{"GET", "inventoryrows?labelSelector=(", asJSON, 400, `expected: !, identifier`},
		{"GET", "inventoryrows?continue=x", asJSON, 400, `invalid continue token`},
		{"GET", "inventoryrows?resourceVersion=12&resourceVersionMatch=Exact", asJSON, 410, `"reason":"Expired"`},
		{"GET", "inventoryrows?resourceVersion=0&resourceVersionMatch=Exact", asJSON, 422, `forbidden for resourceVersion`},
		{"GET", "inventoryrows?resourceVersion=9000000000000000000&limit=1", asJSON, 504, `ResourceVersionTooLarge`},
		{"GET", "inventoryrows?watch=1&resourceVersion=12", asJSON, 200, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure"`},
		{"POST", "namespaces/team-a/inventoryrows", asJSON, 405, `"reason":"MethodNotAllowed"`},
		{"PUT", "namespaces/team-a/inventories/apps", asJSON, 405, `"reason":"MethodNotAllowed"`},
		{"DELETE", "namespaces/team-a/inventories/apps", asJSON, 405, `"reason":"MethodNotAllowed"`},
		{"DELETE", "inventoryrows", asJSON, 405, `"reason":"MethodNotAllowed"`},
		{"GET", "", asJSON, 200, `{"name":"inventoryrows","singularName":"inventoryrow","namespaced":true,"kind":"InventoryRow","verbs":["get","list","watch"],"shortNames":["invrow"]`},
	} {
		code, _, body := get(t, config, test.method, test.path, test.accept)
		if code != test.code || !strings.Contains(string(body), test.want) {
			t.Errorf("%s %s as %s: got %d %.600s, want %d with %s", test.method, test.path, test.accept, code, body, test.code, test.want)
		}
	}
}

func TestLongListsAreCompressed(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 1000)
	config := serve(t, s)
	config.DisableCompression = true // of the client's own doing
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"": "gzip", "?limit=2": ""} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", config.Host+"/apis/inventory.kollect.io/v1alpha1/inventoryrows"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept-Encoding", "gzip")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Error(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%q: got encoding %q, want %q", query, got, want)
		}
	}
}

// TestWatchFormats reads the initial events, an event and a bookmark of watches
// in each form.
func TestWatchFormats(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 2)
	config := serve(t, s)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for resource, kind := range map[string]string{"inventoryrows": "InventoryRow", "inventories": "Inventory"} {
		for accept, kind := range map[string]string{
			asJSON: kind, asTable: "Table", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io": "PartialObjectMetadata",
		} {
			ctx, cancel := context.WithCancel(t.Context())
			request, err := http.NewRequestWithContext(ctx, "GET", config.Host+"/apis/inventory.kollect.io/v1alpha1/"+resource+
				"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", accept)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(response.Body)
			lines.Buffer(nil, 1<<20)
			ended := false
			for n := 0; !ended || n > 0; n-- {
				if !lines.Scan() {
					t.Fatalf("%s as %s: ended: %v", resource, accept, lines.Err())
				}
				var e struct {
					Type   string
					Object metav1.PartialObjectMetadata
				}
				if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
					t.Fatal(err)
				}
				if e.Object.Kind != kind {
					t.Errorf("%s as %s: got %s", resource, accept, lines.Text())
				}
				if strings.Contains(lines.Text(), metav1.InitialEventsAnnotationKey) {
					if ended, n = true, 2; e.Type != "BOOKMARK" {
						t.Errorf("%s as %s: got %s", resource, accept, lines.Text())
					}
					change(s, newRow(apps, 0, fmt.Sprint(rand.Int())))
				}
			}
			cancel()
			response.Body.Close()
		}
	}
}

// A table's columns come with the first event alone, even if that is a bookmark.
func TestTablesOfAWatchHaveOneShape(t *testing.T) {
	s := inventory.NewStore(inventory.Options{Epoch: 3})
	addInventory(s, apps, 2)
	config := serve(t, s)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", config.Host+"/apis/inventory.kollect.io/v1alpha1/inventoryrows"+
		"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=n%3D2", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", asTable)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	events := json.NewDecoder(response.Body)
	var first, second struct {
		Type   string
		Object metav1.Table
	}
	if err := events.Decode(&first); err != nil || first.Type != "BOOKMARK" || len(first.Object.Rows) != 1 {
		t.Fatalf("got %+v, %v; want a bookmark", first, err)
	}
	change(s, newRow(apps, 2, "nginx:1.28"))
	if err := events.Decode(&second); err != nil || second.Type != "ADDED" || len(second.Object.Rows) != 1 {
		t.Fatalf("got %+v, %v; want a row", second, err)
	}
	columns, row := first.Object.ColumnDefinitions, second.Object.Rows[0]
	if len(columns) != len(row.Cells) || len(columns) != len(first.Object.Rows[0].Cells) {
		t.Fatalf("%d columns; got %v after %v", len(columns), row.Cells, first.Object.Rows[0].Cells)
	}
	if i := slices.IndexFunc(columns, func(c metav1.TableColumnDefinition) bool { return c.Name == "Image" }); i < 0 || row.Cells[i] != "nginx:1.28" {
		t.Errorf("columns %v, cells %v", columns, row.Cells)
	}
}

func TestOpenAPIDescribesTheFields(t *testing.T) {
	config := serve(t, inventory.NewStore(inventory.Options{Epoch: 3}))
	_, _, body := get(t, config, "GET", "/openapi/v3/apis/inventory.kollect.io/v1alpha1", asJSON)
	var document struct {
		Paths      map[string]any
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Description string }
			}
		}
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"inventoryrows", "clusterinventories/{name}", "namespaces/{namespace}/inventories"} {
		if document.Paths["/apis/inventory.kollect.io/v1alpha1/"+path] == nil {
			t.Errorf("no path %s", path)
		}
	}
	for _, name := range []string{"InventoryRow", "ClusterInventoryRow", "Source", "InventoryStatus"} {
		properties := document.Components.Schemas["io.kollect.inventory.v1alpha1."+name].Properties
		if len(properties) < 4 {
			t.Errorf("%s: got properties %v", name, properties)
		}
		for field, property := range properties {
			if property.Description == "" && field != "metadata" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
	if code, _, body := get(t, config, "GET", "/openapi/v2", asJSON); code != 200 || !strings.Contains(string(body), "io.kollect.inventory.v1alpha1.Source") {
		t.Errorf("OpenAPI v2: got %d %.200s", code, body)
	}
}
