package v1alpha1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/registry/rest"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// resource treats objects of one kind as the API server does.
type resource struct {
	schema   *schema.Structural
	strategy interface {
		rest.RESTCreateStrategy
		rest.RESTUpdateStrategy
	}
}

// newResources compiles the schemas and rules of the generated CRDs, by kind.
func newResources(t *testing.T) map[string]resource {
	t.Helper()
	resources := map[string]resource{}
	for kind, crd := range readCRDs(t) {
		internal := internalCRD(t, crd)
		props := internal.Spec.Validation.OpenAPIV3Schema
		structural, err := schema.NewStructural(props)
		if err != nil {
			t.Fatal(err)
		}
		validator, _, err := validation.NewSchemaValidator(props)
		if err != nil {
			t.Fatal(err)
		}
		resources[kind] = resource{
			schema: structural,
			strategy: customresource.NewStrategy(nil, crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
				kollectv1alpha1.SchemeGroupVersion.WithKind(kind), validator, nil, structural, nil, nil, nil),
		}
	}
	return resources
}

// admit defaults the object as the API server does on create, and returns what
// is wrong with it. Unknown fields are wrong, as with kubectl's strict default.
func admit(resources map[string]resource, object *unstructured.Unstructured) []string {
	resource, ok := resources[object.GetKind()]
	if !ok {
		return []string{"no CRD for kind " + object.GetKind()}
	}
	unknown := pruning.PruneWithOptions(object.Object, resource.schema, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var problems []string
	for _, path := range unknown {
		problems = append(problems, "unknown field "+path)
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, resource.schema)
	defaulting.Default(object.Object, resource.schema)
	return append(problems, messages(resource.strategy.Validate(context.Background(), object))...)
}

func messages(errs field.ErrorList) []string {
	out := make([]string, 0, len(errs))
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

// decode returns the objects of a YAML stream.
func decode(data []byte) ([]*unstructured.Unstructured, error) {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	var objects []*unstructured.Unstructured
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read YAML: %w", err)
		}
		object := &unstructured.Unstructured{}
		if err := utilyaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("decode YAML: %w", err)
		}
		if object.Object != nil {
			objects = append(objects, object)
		}
	}
}

// Every field of the API, and the shortest object of each kind, is admitted,
// and the Go types know every field of it.
func TestValidObjectsAreAdmitted(t *testing.T) {
	resources := newResources(t)
	kinds := map[string]int{}
	for _, file := range append(glob(t, "testdata/valid/*.yaml"), glob(t, "../../../../artifacts/examples/*.yaml")...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := decode(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, object := range objects {
			if object.GroupVersionKind().Group != kollectv1alpha1.GroupName {
				continue // an example's Namespace or Role
			}
			kinds[object.GetKind()]++
			t.Run(filepath.Base(file)+"/"+object.GetKind()+"/"+object.GetName(), func(t *testing.T) {
				for _, problem := range admit(resources, object) {
					t.Error(problem)
				}
				typed, err := kollectScheme(t).New(object.GroupVersionKind())
				if err != nil {
					t.Fatal(err)
				}
				if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for kind := range resources {
		if kinds[kind] == 0 {
			t.Errorf("no %s among the valid objects", kind)
		}
	}
}

// glob returns the files of a pattern, of which there is one at least.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files %s: %v", len(files), pattern, err)
	}
	return files
}

func TestDefaults(t *testing.T) {
	tests := []struct {
		name, object string
		path         []string
		want         any
	}{
		{"an inventory without a spec", "{kind: KollectInventory}", []string{"spec", "exportMinInterval"}, "30s"},
		{"an inventory with a null spec", "{kind: KollectClusterInventory, spec: null}", []string{"spec", "deletionPolicy"}, "Retain"},
		{"an attribute", "{kind: KollectProfile, spec: {resource: {kind: Pod}, attributes: [{name: a, cel: object.kind}]}}", []string{"spec", "attributes", "0", "type"}, "string"},
		{"an object store", "{kind: KollectSink, spec: {type: objectStore, objectStore: {url: 's3://b', retention: {}}}}", []string{"spec", "objectStore", "format"}, "parquet"},
		{"a retention", "{kind: KollectSink, spec: {type: objectStore, objectStore: {url: 's3://b', retention: {}}}}", []string{"spec", "objectStore", "retention", "keep"}, int64(10)},
		{"a repository", "{kind: KollectSink, spec: {type: git, git: {url: 'https://host/r.git'}}}", []string{"spec", "git", "pathTemplate"}, "{cluster}/{namespace}/{inventory}"},
		{"a table", "{kind: KollectSink, spec: {type: postgres, postgres: {}, secretRef: {name: dsn}}}", []string{"spec", "postgres", "table"}, "kollect_rows"},
		{"a sink", "{kind: KollectClusterSink, spec: {type: http, http: {url: 'https://host'}}}", []string{"spec", "massDeletion"}, "Confirm"},
		{"an endpoint", "{kind: KollectSink, spec: {type: http, http: {url: 'https://host'}}}", []string{"spec", "http", "method"}, "PUT"},
	}
	resources := newResources(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			object := parse(t, test.object)
			for _, problem := range admit(resources, object) {
				t.Error(problem)
			}
			if got := dig(object.Object, test.path); got != test.want {
				t.Errorf("%s is %v, want %v", strings.Join(test.path, "."), got, test.want)
			}
		})
	}
}

// parse reads one object, and adds the identity that every object has.
func parse(t *testing.T, object string) *unstructured.Unstructured {
	t.Helper()
	objects, err := decode([]byte(object))
	if err != nil || len(objects) != 1 {
		t.Fatalf("%d objects in %q: %v", len(objects), object, err)
	}
	out := objects[0]
	out.SetAPIVersion(kollectv1alpha1.SchemeGroupVersion.String())
	if out.GetName() == "" {
		out.SetName("x")
	}
	if !strings.HasPrefix(out.GetKind(), "KollectCluster") {
		out.SetNamespace("team-a")
	}
	return out
}

// dig follows field names, and indexes of lists.
func dig(value any, path []string) any {
	for _, name := range path {
		switch container := value.(type) {
		case map[string]any:
			value = container[name]
		case []any:
			var index int
			if _, err := fmt.Sscan(name, &index); err != nil || index >= len(container) {
				return nil
			}
			value = container[index]
		default:
			return nil
		}
	}
	return value
}
