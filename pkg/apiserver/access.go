package apiserver

import (
	"context"
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// newReviewer returns what says which source objects callers may list. It asks
// the API server that delegated authorization asks, but remembers nothing, so
// that a right which is gone is gone within the time that the registry remembers
// answers, and not twice that. The registry bounds how many questions are asked
// at a time.
func (o *Options) newReviewer() (authorizer.UnconditionalAuthorizer, error) {
	delegated := o.Recommended.Authorization
	config, err := clientcmd.BuildConfigFromFlags("", delegated.RemoteKubeConfigFile)
	if err != nil {
		return nil, fmt.Errorf("configure client for access reviews: %w", err)
	}
	config.QPS, config.Timeout = -1, delegated.ClientTimeout
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create client for access reviews: %w", err)
	}
	return &reviewer{client.AuthorizationV1().SubjectAccessReviews(), delegated.AlwaysAllowGroups}, nil
}

// reviewer asks by SubjectAccessReview.
type reviewer struct {
	client      authorizationclient.SubjectAccessReviewInterface
	alwaysAllow []string // groups
}

// Authorize answers a question about a resource.
func (r *reviewer) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	user := a.GetUser()
	for _, group := range user.GetGroups() {
		if slices.Contains(r.alwaysAllow, group) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	extra := make(map[string]authorizationv1.ExtraValue, len(user.GetExtra()))
	for name, value := range user.GetExtra() {
		extra[name] = authorizationv1.ExtraValue(value)
	}
	review, err := r.client.Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.GetName(), UID: user.GetUID(), Groups: user.GetGroups(), Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: a.GetVerb(), Group: a.GetAPIGroup(), Version: a.GetAPIVersion(), Resource: a.GetResource(), Namespace: a.GetNamespace(),
			},
		},
	}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return authorizer.DecisionNoOpinion, "", fmt.Errorf("review access: %w", err)
	case review.Status.Denied:
		return authorizer.DecisionDeny, review.Status.Reason, nil
	case review.Status.Allowed:
		return authorizer.DecisionAllow, review.Status.Reason, nil
	}
	return authorizer.DecisionNoOpinion, review.Status.Reason, nil
}
