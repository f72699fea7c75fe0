package inventory

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// nobody may list anything.
var nobody = authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionNoOpinion, "", nil
})
