package v1alpha1_test

import (
	"math/rand"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/naming"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func TestObjectsRoundTrip(t *testing.T) {
	scheme := kollectScheme(t)
	codecs := serializer.NewCodecFactory(scheme)
	const seed = 1
	fill := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), codecs)
	roundtrip.RoundTripExternalTypesWithoutProtobuf(t, scheme, codecs, fill, nil)
}

func TestFieldsAreNamedAsTheConventionsSay(t *testing.T) {
	if err := naming.VerifyTagNaming(kollectScheme(t), nil, nil); err != nil {
		t.Error(err)
	}
}
