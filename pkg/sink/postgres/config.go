package postgres

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/sink"
)

// Keys of the Secret.
const (
	secretDSN  = "dsn"
	secretCA   = "ca.crt"
	secretCert = "tls.crt"
	secretKey  = "tls.key"
)

const (
	// maxConnections bounds how many inventories are exported at once, unless the
	// sink says otherwise: a database has few connections, and others use it too.
	maxConnections = 4
	maxIdleTime    = 2 * time.Minute
	maxLifetime    = 30 * time.Minute
	// statementTimeout bounds a statement, unless the sink says otherwise.
	statementTimeout = 5 * time.Minute
	// lockTimeout bounds how long a statement waits for somebody else's transaction,
	// in any case.
	lockTimeout = 30 * time.Second
	// maxMessageBytes bounds what is read at once: a server may be anybody's.
	maxMessageBytes = 16 << 20
)

// unset is a connection string with all that would be taken from the environment
// or from files otherwise. What it says is replaced.
const unset = "host=unset port=1 dbname=unset user=unset password=unset passfile='' " +
	"sslmode=disable sslcert='' sslkey='' sslrootcert='' target_session_attrs=any connect_timeout=10 " +
	"min_protocol_version='' max_protocol_version='' channel_binding=prefer require_auth=''"

// newConfig returns how to connect, as the Secret says.
func newConfig(spec kollectv1alpha1.PostgresSink, secret map[string][]byte, options Options) (*pgxpool.Config, *settings, error) {
	dsn := strings.TrimSpace(string(secret[secretDSN]))
	if dsn == "" {
		return nil, nil, errors.New("spec.secretRef: the Secret must have dsn, a connection string such as postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	s, err := parseDSN(dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("spec.secretRef: the connection string in the Secret's key dsn %w", err)
	}
	config, err := pgxpool.ParseConfig(unset)
	if err != nil {
		return nil, nil, fmt.Errorf("prepare the connections: %w", err)
	}
	config.MaxConns, config.MinConns = cmp.Or(spec.MaxConnections, maxConnections), 0
	config.MaxConnIdleTime, config.MaxConnLifetime = maxIdleTime, maxLifetime
	c := config.ConnConfig
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	c.User, c.Password, c.Database = s.user, s.password, s.database
	c.ConnectTimeout, c.MaxProtocolMessageBodyLen = s.connectTimeout, maxMessageBytes
	c.ChannelBinding, c.RequireAuth, c.SSLNegotiation = s.channelBinding, "", ""
	c.MinProtocolVersion, c.MaxProtocolVersion = "3.0", "3.0"
	c.RuntimeParams = map[string]string{"application_name": s.applicationName, "client_encoding": "UTF8"}
	if s.options != "" {
		c.RuntimeParams["options"] = s.options
	}
	if c.ValidateConnect, err = validator(s.targetSessionAttrs); err != nil {
		return nil, nil, err
	}
	c.DialFunc = (&net.Dialer{Timeout: s.connectTimeout}).DialContext
	if options.Dial != nil {
		c.DialFunc = options.Dial
	}
	if err := setHosts(&c.Config, s, secret); err != nil {
		return nil, nil, fmt.Errorf("spec.secretRef: %w", err)
	}
	return config, s, nil
}

func validator(attributes string) (pgconn.ValidateConnectFunc, error) {
	switch attributes {
	case "", "any":
		return nil, nil
	case "read-write":
		return pgconn.ValidateConnectTargetSessionAttrsReadWrite, nil
	case "primary":
		return pgconn.ValidateConnectTargetSessionAttrsPrimary, nil
	}
	return nil, errors.New("spec.secretRef: the connection string has a target_session_attrs that is not any, read-write or primary")
}

// setHosts sets what to try in turn: each host with TLS, without, or both.
func setHosts(c *pgconn.Config, s *settings, secret map[string][]byte) error {
	security, err := newSecurity(s, secret)
	if err != nil {
		return err
	}
	var attempts []*pgconn.FallbackConfig
	for _, h := range s.hosts {
		for _, config := range security.configs(h.name) {
			attempts = append(attempts, &pgconn.FallbackConfig{Host: h.name, Port: h.port, TLSConfig: config})
		}
	}
	c.Host, c.Port, c.TLSConfig = attempts[0].Host, attempts[0].Port, attempts[0].TLSConfig
	c.Fallbacks = attempts[1:]
	return nil
}

// security is how connections are secured.
type security struct {
	mode         string
	sni          bool
	roots        *x509.CertPool
	certificates []tls.Certificate
}

// newSecurity reads certificates from the Secret. Who gives a certificate of an
// authority and no sslmode gets verify-full, not libpq's prefer.
func newSecurity(s *settings, secret map[string][]byte) (*security, error) {
	y := &security{mode: s.sslmode, sni: s.sslsni}
	if ca := secret[secretCA]; len(ca) > 0 {
		y.roots = x509.NewCertPool()
		if !y.roots.AppendCertsFromPEM(ca) {
			return nil, errors.New("ca.crt in the Secret has no certificate in PEM form")
		}
	}
	if len(secret[secretCert]) > 0 || len(secret[secretKey]) > 0 {
		certificate, err := tls.X509KeyPair(secret[secretCert], secret[secretKey])
		if err != nil {
			return nil, errors.New("tls.crt and tls.key in the Secret are not a certificate and its key in PEM form, without a passphrase")
		}
		y.certificates = []tls.Certificate{certificate}
	}
	switch y.mode {
	case "":
		y.mode = "prefer"
		if y.roots != nil {
			y.mode = "verify-full"
		}
	case "require":
		if y.roots != nil { // as libpq does
			y.mode = "verify-ca"
		}
	case "verify-ca":
		if y.roots == nil {
			return nil, errors.New("sslmode=verify-ca needs ca.crt in the Secret: any public authority would do otherwise; or use verify-full")
		}
	case "disable", "allow", "prefer", "verify-full":
	default:
		return nil, errors.New("the connection string has an sslmode that is not disable, allow, prefer, require, verify-ca or verify-full")
	}
	return y, nil
}

// configs returns what to try in turn; nil is without TLS.
func (y *security) configs(host string) []*tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: y.certificates, RootCAs: y.roots, InsecureSkipVerify: true}
	if y.sni && net.ParseIP(host) == nil {
		config.ServerName = host
	}
	switch y.mode {
	case "disable":
		return []*tls.Config{nil}
	case "allow":
		return []*tls.Config{nil, config}
	case "prefer":
		return []*tls.Config{config, nil}
	case "verify-ca":
		config.VerifyConnection = y.verifyChain
	case "verify-full":
		config.InsecureSkipVerify, config.ServerName = false, host
	}
	return []*tls.Config{config}
}

// verifyChain verifies who signed the server's certificate, not whose it is.
func (y *security) verifyChain(state tls.ConnectionState) error {
	options := x509.VerifyOptions{Roots: y.roots, Intermediates: x509.NewCertPool()}
	for _, certificate := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(certificate)
	}
	if _, err := state.PeerCertificates[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	return nil
}

// connect opens the pool; it contacts nothing.
func connect(ctx context.Context, spec kollectv1alpha1.PostgresSink, secret map[string][]byte, options Options) (*pgxpool.Pool, redactor, error) {
	config, s, err := newConfig(spec, secret, options)
	if err != nil {
		return nil, redactor{}, sink.Permanent(err)
	}
	redact := newRedactor(s.password, string(secret[secretDSN]))
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), config)
	if err != nil {
		return nil, redact, redact.error(err)
	}
	return pool, redact, nil
}
