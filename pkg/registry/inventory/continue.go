package inventory

import (
	"context"
	stderrors "errors"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/inventory"
)

// These are the messages of kube-apiserver.
const (
	listExpired     = "The resourceVersion for the provided list is too old."
	continueExpired = "The provided continue parameter is too old " +
		"to display a consistent list result. You can start a new list without " +
		"the continue parameter, or use the continue token in this response to " +
		"retrieve the remainder of the results. Continuing with the provided " +
		"token results in an inconsistent list - objects that were created, " +
		"modified, or deleted between the time the first chunk was returned " +
		"and now may show up in the list."
)

// page says which part of which state a list is.
type page struct {
	options storage.ListOptions
	prefix  string // of keys in continue tokens
	from    string // the first key
	version uint64 // of the state; 0: any that is not older than minimum
	minimum uint64
}

// newPage reads the options as kube-apiserver does.
func newPage(selected *selection, scope inventory.Scope, options *metainternalversion.ListOptions) (*page, error) {
	p := &page{
		options: storage.ListOptions{
			ResourceVersion:      options.ResourceVersion,
			ResourceVersionMatch: options.ResourceVersionMatch,
			// A list of one name has no pages.
			Recursive: selected.name == "" || scope == inventory.Namespaced && selected.namespace == "",
			Predicate: storage.SelectionPredicate{
				Label: labels.Everything(), Field: fields.Everything(), Limit: max(0, options.Limit), Continue: options.Continue,
			},
		},
		prefix: "/",
	}
	if selected.label != nil {
		p.options.Predicate.Label = selected.label
	}
	if selected.field != nil {
		p.options.Predicate.Field = selected.field
	}
	if selected.namespace != "" {
		p.prefix = "/" + selected.namespace + "/"
	}
	versioner := storage.APIObjectVersioner{}
	version, from, err := storage.ValidateListOptions(p.prefix, versioner, p.options)
	switch {
	case err != nil:
		return nil, err
	case from != "":
		p.from = strings.TrimPrefix(from, "/")
		p.version = uint64(max(0, version)) // below 0: go on in the newest state
	case version != 0:
		p.version = uint64(version)
	default:
		p.minimum, err = versioner.ParseResourceVersion(options.ResourceVersion)
	}
	return p, err
}

// stateOf returns the state that the page is of.
func (s *store[T]) stateOf(ctx context.Context, p *page) (*inventory.State, error) {
	if p.version == 0 {
		return s.fresh(ctx, p.minimum)
	}
	state, err := s.store.At(p.version)
	switch {
	case err == nil:
		return state, nil
	case p.from != "": // a token of another replica too, whose clock may be ahead
		return nil, p.expired()
	}
	return nil, versionError(err, p.version, s.store.State().Version, listExpired)
}

// expired returns the error of a token whose state is not here. It has a token with
// which the client can go on in the newest state.
func (p *page) expired() error { return p.expiredSince(-1) }

// expiredSince is expired with a version below 0 in the token.
func (p *page) expiredSince(version int64) error {
	token, err := storage.EncodeContinue("/"+p.from, p.prefix, version)
	if err != nil {
		return errors.NewResourceExpired(listExpired)
	}
	expired := errors.NewResourceExpired(continueExpired)
	expired.ErrStatus.ListMeta.Continue = token
	return expired
}

// versionError returns what clients are told when the store has no state of a
// version: of one that nobody has issued that they may come again, and else that
// it is expired.
func versionError(err error, version, current uint64, expired string) error {
	const retrySeconds = 1
	if stderrors.Is(err, inventory.ErrExpired) {
		return errors.NewResourceExpired(expired)
	}
	return storage.NewTooLargeResourceVersionError(version, current, retrySeconds)
}
