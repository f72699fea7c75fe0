package clouds_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// front is in front of a server: it notes what it is sent, and answers in the
// server's place when it is told to.
type front struct {
	address string

	mu       sync.Mutex
	requests []*http.Request
	instead  func(http.ResponseWriter, *http.Request) bool
}

// before returns the destination as it is behind a front of its own.
func (d *destination) before(t *testing.T) (*destination, *front) {
	t.Helper()
	f := &front{}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // of requests that are given up
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", d.address, r.In.Host
			if strings.HasPrefix(d.url, "gs:") {
				r.Out.Host = d.address // it knows itself by that name alone
			}
		},
		ModifyResponse: func(r *http.Response) error { // the next part comes here too
			if next := r.Header.Get("Location"); next != "" {
				r.Header.Set("Location", strings.Replace(next, d.address, f.address, 1))
			}
			return nil
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.answers(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	f.address = server.Listener.Addr().String()
	behind := *d
	behind.url = strings.Replace(d.url, d.address, f.address, 1)
	return &behind, f
}

func (f *front) answers(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
	return f.instead != nil && f.instead(w, r)
}

// answer has requests answered by what is given; it returns false for those that
// the server is to answer.
func (f *front) answer(instead func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = instead
}

// seen returns the requests so far that match.
func (f *front) seen(match func(*http.Request) bool) (found []*http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if match(r) {
			found = append(found, r)
		}
	}
	return found
}

// A verb is what a bucket's policy allows or denies.
type verb string

const (
	get  verb = "get"
	put  verb = "put"
	list verb = "list"
	drop verb = "delete"
)

// verbOf returns what the request is, of any of the protocols.
func verbOf(r *http.Request) verb {
	query := r.URL.Query()
	google := strings.HasPrefix(r.URL.Path, "/storage/v1/b/")
	switch {
	case r.Method == http.MethodPut, r.Method == http.MethodPost && !query.Has("delete"):
		return put
	case r.Method == http.MethodDelete:
		return drop
	case query.Get("list-type") == "2", query.Get("comp") == "list", google && strings.HasSuffix(r.URL.Path, "/o"):
		return list
	}
	return get
}

// deny has the server's protocol say that the verb is not allowed.
func (f *front) deny(denied verb) {
	f.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if verbOf(r) != denied {
			return false
		}
		refuse(w, r, http.StatusForbidden, "AccessDenied", "AuthorizationPermissionMismatch", "forbidden")
		return true
	})
}

// refuse answers with an error as the protocol of the request has them.
func refuse(w http.ResponseWriter, r *http.Request, status int, s3, azure, google string) {
	switch {
	case r.Header.Get("X-Ms-Version") != "":
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("X-Ms-Error-Code", azure)
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>no</Message></Error>`, azure)
	case r.Header.Get("X-Amz-Date") != "":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>no</Message></Error>`, s3)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error": {"code": %d, "message": "no", "errors": [{"reason": %q, "message": "no"}]}}`, status, google)
	}
}

// keyOf returns the key that a request to S3 is about.
func keyOf(r *http.Request) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if plain, err := url.PathUnescape(key); err == nil {
		return plain
	}
	return key
}
