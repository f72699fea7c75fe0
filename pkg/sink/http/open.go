package httpsink

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/sink"
)

// Options are the server's part of a store's configuration.
type Options struct {
	// Dial connects to the endpoint, if set: it is where to bound which addresses may
	// be dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds requests that carry no snapshot. Default: 30 seconds.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const (
	defaultTimeout = 30 * time.Second
	dialTimeout    = 10 * time.Second
	idleTimeout    = 90 * time.Second
	// maxRedirects is how often a request follows where the endpoint's host says.
	maxRedirects = 3
	// maxHeaderBytes bounds the header of an answer.
	maxHeaderBytes = 64 << 10
)

// Open returns the store that spec describes. secret is the data of the Secret that
// the sink refers to, or nil:
//
//	token; or username and password: who the sink is
//	hmac-key: signs each request
//	ca.crt: who is trusted; tls.crt and tls.key: a client's certificate
//
// It contacts nothing. Its errors name the field and the mend, and hold no secrets.
func Open(spec kollectv1alpha1.HTTPSink, secret map[string][]byte, options Options) (*Store, error) {
	if options.Dial == nil {
		options.Dial = (&net.Dialer{}).DialContext
	}
	if options.Timeout == 0 {
		options.Timeout = defaultTimeout
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Store{
		method: spec.Method, format: format.Format(spec.Format), timeout: options.Timeout, keep: keptBytes, now: options.Now,
		places: map[[3]string]*place{},
	}
	if s.method == "" {
		s.method = http.MethodPut
	}
	if s.format == "" {
		s.format = format.NDJSON
	}
	if s.format != format.JSON && s.format != format.NDJSON {
		return nil, sink.Permanent(errors.New("spec.http.format: must be json or ndjson"))
	}
	credentials, err := parseCredentials(secret)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	if s.address, err = parseAddress(spec.URL); err != nil {
		return nil, sink.Permanent(err)
	}
	if err := s.address.check(spec, credentials); err != nil {
		return nil, sink.Permanent(err)
	}
	s.authorization = credentials.authorization
	s.redact = redactorOf(secret, credentials.authorization)
	if s.client, err = newClient(secret, credentials.key, options); err != nil {
		return nil, sink.Permanent(err)
	}
	return s, nil
}

// redactorOf knows what is secret, also in the form in which an endpoint gets it, and
// may give it back in an error.
func redactorOf(secret map[string][]byte, authorization string) sink.Redactor {
	all := maps.Clone(secret)
	if _, sent, ok := strings.Cut(authorization, " "); ok {
		all["authorization"] = []byte(sent)
	}
	return sink.RedactorOf(all, "ca.crt", "tls.crt", "username")
}

// newClient returns a client that is not configured by the environment, and that
// nobody shares.
func newClient(secret map[string][]byte, key []byte, options Options) (*http.Client, error) {
	trust, err := sink.TLSConfig(secret, true)
	if err != nil {
		return nil, err
	}
	var transport http.RoundTripper = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			return options.Dial(ctx, network, address)
		},
		TLSClientConfig: trust, TLSHandshakeTimeout: dialTimeout,
		IdleConnTimeout: idleTimeout, MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression: true,
	}
	if key != nil {
		transport = signer{transport, key, options.Now}
	}
	return &http.Client{Transport: transport, CheckRedirect: follow}, nil
}

// follow lets requests be sent elsewhere on the same host if they stay what they are.
// Another answer that redirects is taken for a refusal.
func follow(next *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) > maxRedirects || next.URL.Scheme != first.URL.Scheme || next.URL.Host != first.URL.Host || next.Method != first.Method {
		return http.ErrUseLastResponse
	}
	return nil
}

// credentials are what the Secret says of who the sink is.
type credentials struct {
	authorization string // the header; empty: none
	key           []byte // nil: requests are not signed
	tls           bool   // the Secret has what TLS alone uses
}

// leastKey is the length in bytes that a key must have: a shorter one can be guessed
// by whoever has seen one request.
const leastKey = 16

func parseCredentials(secret map[string][]byte) (credentials, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret[key])) }
	var c credentials
	c.tls = len(secret["ca.crt"])+len(secret["tls.crt"])+len(secret["tls.key"]) > 0
	token, user, password := value("token"), value("username"), value("password")
	switch {
	case token != "" && user+password != "":
		return c, errors.New("spec.secretRef: the Secret must have either token, or username and password")
	case (user == "") != (password == ""):
		return c, errors.New("spec.secretRef: a Secret with one of the keys username and password must have both")
	case strings.ContainsAny(token, " \t\r\n"):
		return c, errors.New("spec.secretRef: token must have no space in it")
	case token != "":
		c.authorization = "Bearer " + token
	case user != "":
		c.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	if _, ok := secret["hmac-key"]; ok {
		if c.key = []byte(value("hmac-key")); len(c.key) < leastKey {
			return c, fmt.Errorf("spec.secretRef: hmac-key must have at least %d bytes; better are 32 of chance", leastKey)
		}
	}
	return c, nil
}

// place is what a store remembers of an inventory.
type place struct {
	silent bool      // the receiver does not tell what it holds
	acked  sink.Mark // what it acknowledged last
}

// Store sends snapshots to an endpoint. It is safe for concurrent use as
// sink.SnapshotStore says.
type Store struct {
	client        *http.Client
	address       address
	authorization string
	method        string
	format        format.Format
	timeout       time.Duration
	keep          int // bytes of a body that is not encoded again
	redact        sink.Redactor
	now           func() time.Time

	mu     sync.Mutex // guards places
	places map[[3]string]*place
}

var _ sink.SnapshotStore = (*Store)(nil)

// at returns a copy of what is remembered.
func (s *Store) at(names [3]string) place {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.places[names]; p != nil {
		return *p
	}
	return place{}
}

// remember changes what is remembered.
func (s *Store) remember(names [3]string, change func(p *place)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[names]
	if p == nil {
		p = &place{}
		s.places[names] = p
	}
	change(p)
}
