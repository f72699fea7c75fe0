package controller

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
)

// A Secret without data is not as none: the sink would act as the server.
func TestASecretWithoutDataIsNotAsNone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		secret *kollectv1alpha1.SecretReference
		isNil  bool
	}{
		{"none is named", nil, true},
		{"one without data", &kollectv1alpha1.SecretReference{Name: "token"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got *SinkConfig
			opener := func(_ context.Context, config SinkConfig) (Sink, error) {
				got = &config
				return Sink{}, nil
			}
			controller := &Controller{}
			controller.config.Openers = map[kollectv1alpha1.SinkType]Opener{kollectv1alpha1.SinkObjectStore: opener}
			controller.clients.core = fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "token"}})
			o := objectStoreSink(tc.secret)
			_, _ = (&term{controller: controller}).reopen(t.Context(), sinkObject{meta: &o.ObjectMeta, spec: &o.Spec}, sinkState{})
			if got == nil || (got.Secret == nil) != tc.isNil {
				t.Errorf("opened with %+v, want a nil Secret: %v", got, tc.isNil)
			}
		})
	}
}
