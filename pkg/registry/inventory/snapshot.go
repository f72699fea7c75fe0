package inventory

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/inventory"
)

// snapshots serves the whole of an inventory as one file, in each of the formats
// that exports have. It is a subresource of its own, so that the right to get it
// can be given for one inventory.
type snapshots struct {
	heads *store[head]
	sizes *sizes
}

var (
	_ rest.Storage   = &snapshots{}
	_ rest.Connecter = &snapshots{}
)

func newSnapshots(s *inventory.Store, scope inventory.Scope) *snapshots {
	return &snapshots{heads: newStore(s, heads{scope}, ""), sizes: &sizes{}}
}

func (s *snapshots) New() runtime.Object      { return s.heads.New() }
func (s *snapshots) Destroy()                 {}
func (s *snapshots) ConnectMethods() []string { return []string{http.MethodGet, http.MethodHead} }

// NewConnectOptions returns nothing: the parameters are read from the request.
func (s *snapshots) NewConnectOptions() (options runtime.Object, subpath bool, name string) {
	return nil, false, ""
}

// Connect returns a handler that answers one download of the named inventory.
func (s *snapshots) Connect(ctx context.Context, name string, _ runtime.Object, responder rest.Responder) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept, Accept-Encoding")
		d, err := s.download(ctx, name, r)
		if err == nil {
			err = d.serve(ctx, w, r)
		}
		if err != nil {
			responder.Error(err)
		}
	}), nil
}

// download returns what the request asks for.
func (s *snapshots) download(ctx context.Context, name string, r *http.Request) (*download, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	as, err := formatOf(query, r.Header)
	if err != nil {
		return nil, err
	}
	wanted, err := versionOf(query)
	if err != nil {
		return nil, err
	}
	state, err := s.heads.stateOf(ctx, wanted)
	if err != nil {
		return nil, err
	}
	snapshot := state.Snapshot(inventory.Ref{Namespace: request.NamespaceValue(ctx), Name: name})
	if snapshot == nil || snapshot.Head().Version == 0 { // its head was about to come
		return nil, errors.NewNotFound(s.heads.resource(), name)
	}
	s.heads.store.Hold(state) // to be resumed, or compared with
	return &download{
		snapshot: snapshot,
		version:  state.Version,
		format:   as,
		gzip:     as != format.Parquet && acceptsGzip(r.Header.Values("Accept-Encoding")),
		sizes:    s.sizes,
	}, nil
}

// The parameters of a download. The API server itself reads the last two.
const (
	parameterFormat  = "format"
	parameterVersion = "resourceVersion"
	parameterMatch   = "resourceVersionMatch"
	parameterTimeout = "timeout"
	parameterPretty  = "pretty"
)

// parseQuery reads a query that may have each of the parameters once.
func parseQuery(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.NewBadRequest(fmt.Sprintf("parameters: %v", err))
	}
	valid := []string{parameterFormat, parameterVersion, parameterMatch, parameterTimeout, parameterPretty}
	for name, values := range query {
		if !slices.Contains(valid, name) {
			return nil, errors.NewBadRequest(fmt.Sprintf("parameter %q is unknown: valid are %s", name, strings.Join(valid, ", ")))
		}
		if len(values) > 1 {
			return nil, errors.NewBadRequest(fmt.Sprintf("parameter %s is given %d times", name, len(values)))
		}
	}
	return query, nil
}

// formatOf returns the format that the parameter names, or else the header
// Accept.
func formatOf(query url.Values, header http.Header) (format.Format, error) {
	if !query.Has(parameterFormat) {
		if f, ok := acceptedFormat(header.Values("Accept")); ok {
			return f, nil
		}
		var types []string
		for _, f := range format.All() {
			types = append(types, mediaType(f))
		}
		return "", negotiation.NewNotAcceptableError(types)
	}
	f := format.Format(query.Get(parameterFormat))
	if f.Valid() {
		return f, nil
	}
	var names []string
	for _, f := range format.All() {
		names = append(names, string(f))
	}
	return "", errors.NewBadRequest(fmt.Sprintf("format %q is unknown: valid are %s", string(f), strings.Join(names, ", ")))
}

// versionOf reads the version and how it is to be matched as those of a list.
func versionOf(query url.Values) (*page, error) {
	text := query.Get(parameterVersion)
	version, err := (storage.APIObjectVersioner{}).ParseResourceVersion(text)
	if err != nil {
		return nil, errors.NewBadRequest(err.Error())
	}
	match := metav1.ResourceVersionMatch(query.Get(parameterMatch))
	switch {
	case match == metav1.ResourceVersionMatchExact && version != 0:
		return &page{version: version}, nil
	case match == metav1.ResourceVersionMatchExact:
		return nil, errors.NewBadRequest("resourceVersionMatch Exact needs a resourceVersion other than 0")
	case match == metav1.ResourceVersionMatchNotOlderThan && text == "":
		return nil, errors.NewBadRequest("resourceVersionMatch needs a resourceVersion")
	case match == "", match == metav1.ResourceVersionMatchNotOlderThan:
		return &page{minimum: version}, nil
	}
	return nil, errors.NewBadRequest(fmt.Sprintf("resourceVersionMatch %q is unknown: valid are %s, %s", string(match),
		metav1.ResourceVersionMatchExact, metav1.ResourceVersionMatchNotOlderThan))
}
