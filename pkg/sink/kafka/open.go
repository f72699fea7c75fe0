package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

// Options are the server's part of an emitter's configuration.
type Options struct {
	// Dial connects to the brokers, if set: it is where to bound which addresses may
	// be dialled. Brokers name more brokers.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds how long a broker may take to answer. Default: 15 seconds.
	Timeout time.Duration
	// RetryWait is how long to wait before what failed is tried again, at first.
	// Default: 100 milliseconds.
	RetryWait time.Duration
	// MustExist has Open, and all methods, return sink.ErrAbsent where otherwise they
	// would make what is not there: a topic, or a schema in a registry.
	MustExist bool
}

const (
	// defaultTimeout is of Options.Timeout: the brokers may be electing leaders, or be
	// away for a restart.
	defaultTimeout = 15 * time.Second
	dialTimeout    = 10 * time.Second
	maxRetryWait   = time.Second
	// retries is how often a request is tried again that did not reach a broker.
	retries = 4
)

// Open connects to the brokers that spec names, and creates the topic if it is not
// there. secret is the data of the Secret that the sink refers to, or nil:
//
//	username and password; or token, for OAUTHBEARER: who the sink is
//	ca.crt: who is trusted; tls.crt and tls.key: a client's certificate
//	registry-username and registry-password; or registry-token: who the sink is to
//	the registry of schemas
//
// Its errors name the field and the mend, and hold no secrets.
func Open(ctx context.Context, spec kollectv1alpha1.KafkaSink, secret map[string][]byte, options Options) (*Emitter, error) {
	if err := check(spec); err != nil {
		return nil, sink.Permanent(err)
	}
	if options.Timeout == 0 {
		options.Timeout = defaultTimeout
	}
	if options.RetryWait == 0 {
		options.RetryWait = 100 * time.Millisecond
	}
	if options.Dial == nil {
		options.Dial = (&net.Dialer{}).DialContext
	}
	e := &Emitter{
		decompress: kgo.DefaultDecompressor(), topic: spec.Topic, oversized: spec.OversizedRows, records: transactionRecords,
		timeout: options.Timeout, retryWait: options.RetryWait, mustExist: options.MustExist, redact: sink.RedactorOf(secret, public...),
		sightings: map[spot]sighting{}, views: map[place]int64{}, producers: map[place]*producer{},
	}
	mechanism, err := credentials(spec.SASLMechanism, secret)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	trust, err := sink.TLSConfig(secret, spec.TLS)
	if err != nil {
		return nil, sink.Permanent(err)
	}
	e.common = []kgo.Opt{
		kgo.SeedBrokers(spec.Brokers...),
		kgo.ClientID("kollect"),
		kgo.Dialer(dialer{options.Dial, trust}.dial),
		kgo.RequestRetries(retries),
		kgo.RetryTimeout(options.Timeout),
		kgo.RequestTimeoutOverhead(min(options.Timeout, 10*time.Second)),
		kgo.RetryBackoffFn(e.backoff),
		kgo.MetadataMinAge(min(10*options.RetryWait, time.Second)),
		kgo.DisableClientMetrics(),
	}
	if mechanism != nil {
		e.common = append(e.common, kgo.SASL(mechanism))
	}
	if e.client, err = kgo.NewClient(e.common...); err != nil {
		return nil, sink.Permanent(e.explain("configure the client", err))
	}
	if err := e.start(ctx, spec.SchemaRegistry, secret, options); err != nil {
		e.client.Close()
		return nil, err
	}
	return e, nil
}

// check is for specs that no API server has validated.
func check(spec kollectv1alpha1.KafkaSink) error {
	if len(spec.Brokers) == 0 {
		return errors.New("spec.kafka.brokers: must name a broker, such as kafka-0.kafka:9092")
	}
	for _, broker := range spec.Brokers {
		host, port, err := net.SplitHostPort(broker)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || host == "" || bad != nil || n == 0 {
			return fmt.Errorf("spec.kafka.brokers: %q must be host:port, such as kafka-0.kafka:9092", broker)
		}
	}
	if spec.Topic == "" {
		return errors.New("spec.kafka.topic: must name a topic")
	}
	return nil
}

// backoff is how long to wait before a try, with jitter.
func (e *Emitter) backoff(failures int) time.Duration {
	wait := min(e.retryWait<<min(failures, 10), maxRetryWait)
	return wait/2 + rand.N(wait/2+1)
}

// dialer makes connections, with TLS if trust is set.
type dialer struct {
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	trust   *tls.Config
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := d.connect(ctx, network, address)
	if err != nil || d.trust == nil {
		return conn, err
	}
	config := d.trust
	if host, _, err := net.SplitHostPort(address); err == nil {
		config = config.Clone()
		config.ServerName = host
	}
	encrypted := tls.Client(conn, config)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return encrypted, nil
}
