package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Dial connects to a server.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

const dialTimeout = 10 * time.Second

// HTTPAuth is who the sink is. The zero HTTPAuth is nobody.
type HTTPAuth struct {
	User, Password string
	Bearer         string // in place of both
}

// HTTPS reaches a repository at a URL that starts with https://.
func HTTPS(repository *url.URL, auth HTTPAuth, trust *tls.Config, dial Dial) Transport {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return dial(ctx, network, address)
		},
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: dialTimeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        4,
		IdleConnTimeout:     90 * time.Second,
		WriteBufferSize:     64 << 10, // of packs, which are large
		ReadBufferSize:      64 << 10,
	}
	return &overHTTP{
		base: strings.TrimSuffix(repository.String(), "/"), auth: auth,
		client: &http.Client{Transport: transport, CheckRedirect: refuseRedirect},
	}
}

// refuseRedirect keeps credentials, and rows, from going where no sink points.
func refuseRedirect(to *http.Request, _ []*http.Request) error {
	location := *to.URL
	location.RawQuery, location.User = "", nil
	location.Path = strings.TrimSuffix(location.Path, "/info/refs")
	return fmt.Errorf("%w: the server redirects to %s", ErrUnsuited, &location)
}

type overHTTP struct {
	base   string
	auth   HTTPAuth
	client *http.Client
}

func (o *overHTTP) stateless() bool { return true }

func (o *overHTTP) close() { o.client.CloseIdleConnections() }

func (o *overHTTP) open(ctx context.Context, service string) (session, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.base+"/info/refs?service="+service, nil)
	if err != nil {
		return nil, err
	}
	response, err := o.do(request, service)
	if err != nil {
		return nil, err
	}
	if got := response.Header.Get("Content-Type"); got != "application/x-"+service+"-advertisement" {
		response.Body.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnsuited, errNoGit)
	}
	s := &exchange{over: o, service: service, body: response.Body, hello: newLines(response.Body)}
	if start, err := s.hello.r.Peek(13); err == nil && string(start) == "000eversion 2" {
		return s, nil // which Git says without the name of the service
	}
	if err := s.skipService(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// do sends a request and turns what HTTP says into errors.
func (o *overHTTP) do(request *http.Request, service string) (*http.Response, error) {
	if service == uploadPack {
		request.Header.Set("Git-Protocol", "version=2")
	}
	switch {
	case o.auth.Bearer != "":
		request.Header.Set("Authorization", "Bearer "+o.auth.Bearer)
	case o.auth.User != "" || o.auth.Password != "":
		request.SetBasicAuth(o.auth.User, o.auth.Password)
	}
	request.Header.Set("User-Agent", "git/kollect")
	response, err := o.client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // the URL is long, and no news
		}
		var authority *tls.CertificateVerificationError
		if errors.As(err, &authority) {
			return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
		}
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
	said := ""
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain") && len(strings.TrimSpace(string(text))) > 0 {
		said = ": " + strings.TrimSpace(string(text))
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%w: HTTP status %s%s", ErrUnauthorized, response.Status, said)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%w: HTTP status %s%s", ErrNotFound, response.Status, said)
	}
	return nil, fmt.Errorf("the server answers with HTTP status %s%s", response.Status, said)
}

// exchange is a session over HTTP: each request is one of its own.
type exchange struct {
	over    *overHTTP
	service string
	body    io.ReadCloser
	hello   *lines
}

// skipService reads the line that names the service, and the flush after it.
func (e *exchange) skipService() error {
	line, _, err := e.hello.text()
	if err != nil {
		return err
	}
	if line != "# service="+e.service {
		return errNoGit
	}
	_, k, err := e.hello.next()
	if err == nil && k != flush {
		err = errNoGit
	}
	return err
}

func (e *exchange) greeting() *lines { return e.hello }

func (e *exchange) close() { e.body.Close() }

func (e *exchange) ask(ctx context.Context, body io.Reader, size int64) (io.ReadCloser, error) {
	// What is left of the greeting is read, so that its connection can be used again.
	io.Copy(io.Discard, io.LimitReader(e.hello.r, 4<<10))
	e.body.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.over.base+"/"+e.service, body)
	if err != nil {
		return nil, err
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/x-"+e.service+"-request")
	request.Header.Set("Accept", "application/x-"+e.service+"-result")
	response, err := e.over.do(request, e.service)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
