package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

// Options are the server's part of an emitter's configuration.
type Options struct {
	// Dial connects to the servers, if set: it is where to bound which addresses
	// may be dialled.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds how long the server may take to answer. Default: 15 seconds.
	Timeout time.Duration
	// ReconnectWait is how long to wait between two tries to connect again.
	// Default: one second.
	ReconnectWait time.Duration
	// MustExist has Open, and all methods, return sink.ErrAbsent where otherwise they
	// would make what is not there: a stream.
	MustExist bool
}

const connectTimeout = 10 * time.Second

// Open connects to the server that spec names, and creates the stream if it is
// not there. secret is the data of the Secret that the sink refers to, or nil:
//
//	username and password; or token; or nkey, a seed; or creds, a file of
//	credentials: who the sink is
//	ca.crt: who is trusted; tls.crt and tls.key: a client's certificate
//
// Its errors name the field and the mend, and hold no secrets.
func Open(ctx context.Context, spec kollectv1alpha1.NATSSink, secret map[string][]byte, options Options) (*Emitter, error) {
	address, err := parseURL(spec.URL)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	if spec.Stream == "" || strings.ContainsAny(spec.Stream, " \t\r\n.*>/\\") {
		return nil, sink.Permanent(errors.New("spec.nats.stream: must be a stream's name: letters, digits, '-' and '_'"))
	}
	if options.Timeout == 0 {
		options.Timeout = defaultTimeout
	}
	if options.ReconnectWait == 0 {
		options.ReconnectWait = time.Second
	}
	if options.Dial == nil {
		options.Dial = (&net.Dialer{}).DialContext
	}
	e := &Emitter{
		stream: spec.Stream, mustExist: options.MustExist, oversized: spec.OversizedRows, timeout: options.Timeout, redact: sink.RedactorOf(secret, public...), slots: make(chan struct{}, maxBatches),
		views: map[place]view{}, waiting: waiting{requests: map[int]*request{}},
	}
	connection := []nats.Option{
		nats.Name("kollect"),
		nats.Timeout(connectTimeout),
		nats.SetCustomDialer(dialer{context.WithoutCancel(ctx), options.Dial}),
		nats.SkipHostLookup(), // the dialer does
		nats.MaxReconnects(-1),
		nats.ReconnectWait(options.ReconnectWait),
		nats.ReconnectJitter(options.ReconnectWait/5, options.ReconnectWait/5),
		nats.PingInterval(20 * time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(e.noteDenied),
		nats.DisconnectErrHandler(e.noteLost),
		nats.ReconnectErrHandler(e.noteFailure),
	}
	who, err := credentials(secret)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	trust, err := sink.TLSConfig(secret, address.Scheme == "tls")
	if err != nil {
		return nil, sink.Permanent(err)
	}
	connection = append(connection, who...)
	if trust != nil {
		connection = append(connection, nats.Secure(trust))
	}
	if e.conn, err = nats.Connect(address.String(), connection...); err != nil {
		return nil, e.explain("connect to "+address.Host, err)
	}
	if err := e.start(ctx); err != nil {
		e.conn.Close()
		return nil, err
	}
	return e, nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "":
		return nil, errors.New("spec.nats.url: must be a nats:// or tls:// URL, such as nats://nats.messaging:4222")
	case u.User != nil:
		return nil, errors.New("spec.nats.url: must not hold credentials: put them into a Secret and name it in secretRef")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("spec.nats.url: must end after the host and port")
	}
	if u.Path = ""; u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "4222")
	}
	return u, nil
}

// credentials returns who the sink is.
func credentials(secret map[string][]byte) ([]nats.Option, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret[key])) }
	var found []string
	for _, key := range []string{"username", "token", "nkey", "creds"} {
		if value(key) != "" {
			found = append(found, key)
		}
	}
	switch {
	case len(found) > 1:
		return nil, fmt.Errorf("spec.secretRef: the Secret has %s: keep one of them", strings.Join(found, " and "))
	case len(found) == 0 && secret != nil && value("ca.crt") == "" && value("tls.crt") == "":
		return nil, errors.New("spec.secretRef: the Secret must have username and password, token, nkey, creds, or tls.crt and tls.key")
	case len(found) == 0:
		return nil, nil
	}
	switch found[0] {
	case "username":
		return []nats.Option{nats.UserInfo(value("username"), value("password"))}, nil
	case "token":
		return []nats.Option{nats.Token(value("token"))}, nil
	case "creds":
		if _, err := nkeys.ParseDecoratedJWT(secret["creds"]); err != nil {
			return nil, errors.New("spec.secretRef: creds must be a file of credentials, with a user's JWT and seed")
		}
		if _, err := nkeys.ParseDecoratedUserNKey(secret["creds"]); err != nil {
			return nil, errors.New("spec.secretRef: creds must be a file of credentials, with a user's JWT and seed")
		}
		return []nats.Option{nats.UserCredentialBytes(secret["creds"])}, nil
	}
	key, err := nkeys.FromSeed([]byte(value("nkey")))
	if err != nil {
		return nil, errors.New("spec.secretRef: nkey must be the seed of a user's key, which begins with SU")
	}
	public, err := key.PublicKey()
	if err != nil || !strings.HasPrefix(public, "U") {
		return nil, errors.New("spec.secretRef: nkey must be the seed of a user's key, which begins with SU")
	}
	return []nats.Option{nats.Nkey(public, key.Sign)}, nil
}

// dialer dials also long after Open has returned.
type dialer struct {
	ctx  context.Context
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, connectTimeout)
	defer cancel()
	return d.dial(ctx, network, address)
}
