package v1alpha1_test

import (
	"encoding/json"
	"math/rand"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/naming"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := inventoryv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// values fills attributes with JSON of each type, and leaves out the sides of a
// change that are null: an attribute that is null is none.
func values(serializer.CodecFactory) []any {
	return []any{func(v *inventoryv1alpha1.ChangedValue, c randfill.Continue) {
		c.FillNoCustom(v)
		for _, side := range []**inventoryv1alpha1.Value{&v.Before, &v.After} {
			if *side != nil && string((*side).Raw) == "null" {
				*side = nil
			}
		}
	}, func(v *inventoryv1alpha1.Value, c randfill.Continue) {
		any := []any{
			c.Uint64(), -1.5, true, nil, "ünïcode", []any{}, []any{1.0, "a", nil},
			map[string]any{"a": map[string]any{"b": []any{c.Bool()}}},
		}[c.Intn(8)]
		raw, err := json.Marshal(any)
		if err != nil {
			panic(err)
		}
		v.Raw = raw
	}}
}

func TestObjectsRoundTrip(t *testing.T) {
	scheme := newScheme(t)
	codecs := serializer.NewCodecFactory(scheme)
	const seed = 1
	fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, values), rand.NewSource(seed), codecs)
	roundtrip.RoundTripExternalTypesWithoutProtobuf(t, scheme, codecs, fill, nil)
}

func TestFieldsAreNamedAsTheConventionsSay(t *testing.T) {
	if err := naming.VerifyTagNaming(newScheme(t), nil, nil); err != nil {
		t.Error(err)
	}
}
