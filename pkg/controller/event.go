package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/generated/clientset/versioned/scheme"
)

// startEvents has events written, and returns what ends that.
func (c *Controller) startEvents(ctx context.Context) func() {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.clients.core.CoreV1().Events("")})
	c.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kollect-apiserver"})
	return broadcaster.Shutdown
}

// event tells of a condition's transition.
func (c *Controller) event(o runtime.Object, t transition) {
	if kind, worth := eventType(t); worth {
		c.recorder.Eventf(o, kind, t.after.Reason, "%s is %s: %s", t.after.Type, t.after.Status, t.after.Message)
	}
}

// eventType returns the type of a transition's event, and whether it is worth
// one: what is bad is, what is good again is, and that an object is ready is. How
// exports fare is told for each sink; see outcomes.
func eventType(t transition) (string, bool) {
	if t.after.Type == kollectv1alpha1.ConditionSynced || t.after.Type == kollectv1alpha1.ConditionExported {
		return "", false
	}
	if bad(&t.after) {
		return corev1.EventTypeWarning, true
	}
	first := t.before == nil && t.after.Type == kollectv1alpha1.ConditionReady && t.after.Status == metav1.ConditionTrue
	return corev1.EventTypeNormal, first || t.before != nil && bad(t.before)
}

func bad(c *metav1.Condition) bool {
	if c.Type == kollectv1alpha1.ConditionStale {
		return c.Status == metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionFalse && c.Reason != string(export.Pending) && c.Reason != reasonForgetting
}
