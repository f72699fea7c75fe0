package httpsink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"kollect.io/kollect/pkg/sink"
)

// maxText is how much of an answer is read that is not asked for anything.
const maxText = 64 << 10

// answer is what the receiver said.
type answer struct {
	status int
	header http.Header
	body   []byte
	long   bool // there is more of the body
}

func (a *answer) ok() bool { return a.status/100 == 2 }

// emptyDigest is that of requests without a body, for a receiver that checks each.
const emptyDigest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"

// request is one that is about an inventory, without a body.
func (s *Store) request(ctx context.Context, method string, names [3]string) (*http.Request, error) {
	u, err := s.address.of(names)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	r := s.requestTo(ctx, method, u)
	setNames(r.Header, names)
	return r, nil
}

func (s *Store) requestTo(ctx context.Context, method string, u *url.URL) *http.Request {
	r := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	r.Header.Set("User-Agent", "kollect")
	r.Header.Set(headerContentDigest, emptyDigest)
	if s.authorization != "" {
		r.Header.Set("Authorization", s.authorization)
	}
	return r
}

// ask sends a request without a body that is answered soon.
func (s *Store) ask(ctx context.Context, method string, names [3]string, header func(http.Header)) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	r, err := s.request(ctx, method, names)
	if err != nil {
		return nil, err
	}
	header(r.Header)
	return s.do(r, maxText)
}

// do sends the request and reads the answer, whatever its status and up to limit.
func (s *Store) do(r *http.Request, limit int64) (*answer, error) {
	response, err := s.client.Do(r)
	if err != nil {
		return nil, s.unreached(r, err)
	}
	defer response.Body.Close()
	a := &answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(io.LimitReader(response.Body, limit+1)); err != nil && limit > maxText {
		return nil, s.unreached(r, err) // else the status has said it all
	}
	if int64(len(a.body)) > limit {
		a.body, a.long = a.body[:limit], true
	}
	return a, nil
}

// unreached says of a request that it was not answered.
func (s *Store) unreached(r *http.Request, err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err // it names the URL, with the query
	}
	return fmt.Errorf("%s: %w", what(r), s.redact.Hide(err.Error()+trustHint(err), err))
}

// what names a request without what may be secret in its URL.
func what(r *http.Request) string {
	return r.Method + " " + r.URL.Scheme + "://" + r.URL.Host + r.URL.EscapedPath()
}
