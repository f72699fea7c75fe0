package inventory

import (
	"context"
	"net/http"
	"strings"

	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1beta1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
)

type tableKey struct{}

// tableOf returns the options of the table that a list is to be written as, or
// nil.
func tableOf(ctx context.Context) *metav1.TableOptions {
	options, _ := ctx.Value(tableKey{}).(*metav1.TableOptions)
	return options
}

// WithTables has lists that are asked for as tables written as their rows are
// read. The API server would first make all of the answer, by ways that take ten
// times the time.
//
// It is to handle requests just before the API server's own handlers do, which
// then see requests for JSON. What they would refuse, indent or write as YAML is
// left to them.
func WithTables(handler http.Handler, serializer runtime.NegotiatedSerializer) http.Handler {
	scope := &handlers.RequestScope{
		MetaGroupVersion: metav1.SchemeGroupVersion,
		TableConvertor:   rest.NewDefaultTableConvertor(inventoryv1alpha1.Resource("")),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if options := requestedTable(r, serializer, scope); options != nil {
			r = r.Clone(context.WithValue(r.Context(), tableKey{}, options))
			r.Header.Set("Accept", runtime.ContentTypeJSON)
		}
		handler.ServeHTTP(w, r)
	})
}

// requestedTable returns the options of the table that the request asks for, or
// nil if it asks for none, or for one that lists do not write.
func requestedTable(r *http.Request, serializer runtime.NegotiatedSerializer, scope *handlers.RequestScope) *metav1.TableOptions {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok || info.Verb != "list" || info.Subresource != "" || info.APIGroup != inventoryv1alpha1.GroupName {
		return nil
	}
	// The router does not know this wildcard, and may refuse the request.
	if header := r.Header.Get("Accept"); !strings.Contains(header, "as=Table") || strings.Contains(header, "application/*") {
		return nil
	}
	wanted, by, err := negotiation.NegotiateOutputMediaType(r, serializer, scope)
	if err != nil || wanted.Convert == nil || *wanted.Convert != metav1.SchemeGroupVersion.WithKind("Table") ||
		by.MediaType != runtime.ContentTypeJSON || by.Serializer != wanted.Accepted.Serializer { // which does not indent
		return nil
	}
	options := &metav1.TableOptions{}
	if metainternalversionscheme.ParameterCodec.DecodeParameters(r.URL.Query(), metav1.SchemeGroupVersion, options) != nil ||
		len(validation.ValidateTableOptions(options)) > 0 {
		return nil
	}
	return options
}
