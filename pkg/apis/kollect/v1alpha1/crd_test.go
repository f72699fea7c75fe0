package v1alpha1_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

const crdFolder = "../../../../artifacts/crds"

// readCRDs returns the generated CRDs by kind, as the API server defaults them.
func readCRDs(t *testing.T) map[string]*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crds := map[string]*apiextensionsv1.CustomResourceDefinition{}
	for _, file := range glob(t, filepath.Join(crdFolder, "*.yaml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(data, crd); err != nil {
			t.Fatalf("decode %s: %v", file, err)
		}
		apiextensionsv1.SetDefaults_CustomResourceDefinition(crd)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
		crds[crd.Spec.Names.Kind] = crd
	}
	return crds
}

// internalCRD converts a CRD to the form that the API server validates.
func internalCRD(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) *apiextensions.CustomResourceDefinition {
	t.Helper()
	internal := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd.DeepCopy(), internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal
}

func kollectScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := kollectv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func TestEveryKindHasACRD(t *testing.T) {
	var want []string
	for kind := range kollectScheme(t).KnownTypes(kollectv1alpha1.SchemeGroupVersion) {
		if strings.HasPrefix(kind, "Kollect") && !strings.HasSuffix(kind, "List") {
			want = append(want, kind)
		}
	}
	var got []string
	for kind := range readCRDs(t) {
		got = append(got, kind)
	}
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("kinds with a CRD (-registered +generated):\n%s", diff)
	}
}

// The API server's own validation: structural schemas, defaults that validate,
// CEL rules that compile and stay within the cost limits.
func TestCRDsPassTheValidationOfTheAPIServer(t *testing.T) {
	for kind, crd := range readCRDs(t) {
		t.Run(kind, func(t *testing.T) {
			internal := internalCRD(t, crd)
			internal.Status.StoredVersions = []string{"v1alpha1"}
			for _, err := range validation.ValidateCustomResourceDefinition(context.Background(), internal) {
				t.Error(err)
			}
		})
	}
}

func TestCRDsRoundTrip(t *testing.T) {
	for kind, crd := range readCRDs(t) {
		t.Run(kind, func(t *testing.T) {
			back := &apiextensionsv1.CustomResourceDefinition{}
			if err := apiextensionsv1.Convert_apiextensions_CustomResourceDefinition_To_v1_CustomResourceDefinition(internalCRD(t, crd), back, nil); err != nil {
				t.Fatal(err)
			}
			data, err := yaml.Marshal(back)
			if err != nil {
				t.Fatal(err)
			}
			again := &apiextensionsv1.CustomResourceDefinition{TypeMeta: crd.TypeMeta}
			if err := yaml.UnmarshalStrict(data, again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(crd, again, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCRDsServeWhatKubectlShows(t *testing.T) {
	for kind, crd := range readCRDs(t) {
		t.Run(kind, func(t *testing.T) {
			if crd.Spec.Group != "kollect.io" || len(crd.Spec.Versions) != 1 {
				t.Fatalf("group %s with %d versions", crd.Spec.Group, len(crd.Spec.Versions))
			}
			wantScope := apiextensionsv1.NamespaceScoped
			if strings.HasPrefix(kind, "KollectCluster") {
				wantScope = apiextensionsv1.ClusterScoped
			}
			if crd.Spec.Scope != wantScope {
				t.Errorf("scope %s, want %s", crd.Spec.Scope, wantScope)
			}
			if diff := cmp.Diff([]string{"kollect"}, crd.Spec.Names.Categories); diff != "" {
				t.Errorf("categories:\n%s", diff)
			}
			if len(crd.Spec.Names.ShortNames) != 1 {
				t.Errorf("short names %v, want one", crd.Spec.Names.ShortNames)
			}
			version := crd.Spec.Versions[0]
			if version.Subresources == nil || version.Subresources.Status == nil {
				t.Error("no status subresource")
			}
			var columns []string
			for _, column := range version.AdditionalPrinterColumns {
				columns = append(columns, column.Name)
			}
			for _, want := range []string{"Ready", "Message", "Age"} {
				if !strings.Contains(strings.Join(columns, " "), want) {
					t.Errorf("no column %s in %v", want, columns)
				}
			}
			undocumented(t, kind, *version.Schema.OpenAPIV3Schema)
		})
	}
}

// undocumented reports fields without a description: kubectl explain shows it.
func undocumented(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for name, property := range schema.Properties {
		if path == "metadata" || strings.HasSuffix(path, ".metadata") {
			continue
		}
		if property.Description == "" && name != "metadata" {
			t.Errorf("%s.%s has no description", path, name)
		}
		undocumented(t, path+"."+name, property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		undocumented(t, path, *schema.Items.Schema)
	}
}

// A kind and its cluster twin differ in rules about what only one of them may
// say, never in fields.
func TestTwinsHaveTheSameFields(t *testing.T) {
	crds := readCRDs(t)
	for _, kind := range []string{"Profile", "Target", "Inventory", "Sink"} {
		t.Run(kind, func(t *testing.T) {
			schemas := make([]apiextensionsv1.JSONSchemaProps, 0, 2)
			for _, twin := range []string{"Kollect" + kind, "KollectCluster" + kind} {
				schema := crds[twin].Spec.Versions[0].Schema.OpenAPIV3Schema.DeepCopy()
				schema.Description = ""
				schema.XValidations = nil
				schemas = append(schemas, *schema)
			}
			if diff := cmp.Diff(schemas[0], schemas[1]); diff != "" {
				t.Errorf("fields (-namespaced +cluster):\n%s", diff)
			}
		})
	}
}
