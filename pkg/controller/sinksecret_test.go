package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

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

// While no Secret can be read, a sink that is another one by now is not exported
// to, and one that says something else is not as it says.
func TestAChangedSinkWhoseSecretIsUnreadable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		uid    types.UID
		stands bool
	}{
		{"another spec", "uid-lake", true},
		{"another sink of that name", "another", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var down atomic.Bool
				token := &kollectv1alpha1.SecretReference{Name: "token"}
				h, sinks := leading(t, objectStoreSink(token), func(h *harness) {
					h.core.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
						return down.Load(), nil, errors.New("connection refused")
					})
				}, tokenSecret("a", "first", "1"))
				down.Store(true)
				changed := objectStoreSink(token)
				changed.UID, changed.Generation = tc.uid, 2
				h.see(changed)
				h.Controller.leading.Load().sinkQueue.Add(key{"a", "lake"})
				pass(5 * time.Second)
				h.sinkReady("False", "SecretUnreadable", "a/token", "connection refused")
				if open, _ := sinks.closed(); (open == 1) != tc.stands {
					t.Errorf("%d sinks are open, want the former one: %v", open, tc.stands)
				}
				down.Store(false)
				pass(2 * time.Minute)
				h.sinkReady("True", "Ready")
				if open, closed := sinks.closed(); open != 1 || closed != 1 {
					t.Errorf("%d sinks are open and %d closed, want 1 and 1", open, closed)
				}
			})
		})
	}
}
