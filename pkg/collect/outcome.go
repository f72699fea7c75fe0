package collect

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// CollectLabel is the label, with the value "true", of ClusterRoles that say
// what the server may collect.
const CollectLabel = "kollect.io/aggregate-to-collect"

// outage says why a resource can't be listed or watched, and what mends it; it
// is empty when err says nothing of that sort.
func outage(err error, gvr schema.GroupVersionResource, verb string) string {
	resource := gvr.GroupResource().String()
	var connection *url.Error
	switch {
	case err == nil, errors.Is(err, context.Canceled), relists(err):
		return ""
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("the server may not %s %s: give it the verbs list and watch by a ClusterRole with the rule {apiGroups: [%q], resources: [%s], verbs: [list, watch]} and the label %s: \"true\"",
			verb, resource, gvr.Group, gvr.Resource, CollectLabel)
	case apierrors.IsUnauthorized(err):
		return fmt.Sprintf("the API server does not accept the server's credentials to %s %s: renew them", verb, resource)
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("the API server has no resource %s in version %s: install its CustomResourceDefinition or the API server that serves it", resource, gvr.Version)
	case apierrors.IsMethodNotSupported(err):
		return fmt.Sprintf("the resource %s can not be collected, as it does not support %s: choose another resource in the profile", resource, verb)
	case apierrors.IsTooManyRequests(err):
		return fmt.Sprintf("%s %s: the API server is too busy and is asked again", verb, resource)
	case errors.As(err, &connection): // its URL is of no use to the reader
		return fmt.Sprintf("%s %s: the API server can not be reached and is tried again: %v", verb, resource, connection.Err)
	}
	return fmt.Sprintf("%s %s: the API server fails and is tried again: %v", verb, resource, err)
}

// incomplete says that a list ended before its end.
func incomplete(gvr schema.GroupVersionResource) string {
	return fmt.Sprintf("list %s: the API server ended the list before it was complete and is asked again", gvr.GroupResource())
}

// relists reports whether err only makes the reflector list again.
func relists(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) ||
		strings.Contains(err.Error(), "Too large resource version")
}

// outages is what is known of the health of a list and watch. A lock of its
// owner guards it.
type outages struct {
	list, watch string
}

// note takes in how a call went.
func (o *outages) note(call outcome) {
	switch {
	case call.verb == "list":
		o.list = call.outage
	case call.outage == "":
		*o = outages{}
	default:
		o.watch = call.outage
	}
}

// message says what is wrong, or nothing.
func (o *outages) message() string {
	if o.watch != "" {
		return o.watch
	}
	return o.list
}

// outcome is how a call went.
type outcome struct {
	verb   string // list or watch
	outage string
}
