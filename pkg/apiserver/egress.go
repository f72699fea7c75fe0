package apiserver

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"syscall"
	"time"
)

// forbidden are addresses, beside those of kinds that are never a store's, at
// which clouds tell who asks, and whom the machine acts for.
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS, metadata and other services of an instance
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("0.0.0.0/8"),          // this host
	netip.MustParsePrefix("255.255.255.255/32"), // broadcast
}

// embedding are prefixes of IPv6 that a gateway takes for the IPv4 address in the
// last four bytes: NAT64, IPv4-compatible addresses and translated ones.
var embedding = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0:0/96"),
}

// egress judges where sinks may connect.
type egress struct {
	apiServer string // host
	lookUp    func(ctx context.Context, host string) ([]netip.Addr, error)

	mu      sync.Mutex // guards what follows
	own     []netip.Addr
	err     error
	expires time.Time
}

const (
	// ownLifetime is how long the API server's addresses are remembered.
	ownLifetime = time.Minute
	// ownTimeout bounds a look-up, and is how long a failed one is remembered.
	ownTimeout = 5 * time.Second
)

// egressClient returns the HTTP client of sinks. It connects to no loopback,
// link-local, multicast or unspecified address, to none at which clouds keep
// credentials, nor to the API server's own, given as a URL: a sink's URL is
// written by a tenant, and must not reach what only the server can. Addresses
// are judged after they were resolved.
func egressClient(apiServer string) *http.Client {
	e := newEgress(apiServer)
	dialer := &net.Dialer{Timeout: 10 * time.Second, ControlContext: e.control}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 nil, // it would dial on behalf of anybody
		DialContext:           dialer.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
	}}
}

func newEgress(apiServer string) *egress {
	e := &egress{apiServer: apiServer, lookUp: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	if u, err := url.Parse(apiServer); err == nil && u.Hostname() != "" {
		e.apiServer = u.Hostname()
	} else if host, _, err := net.SplitHostPort(apiServer); err == nil {
		e.apiServer = host
	}
	return e
}

func (e *egress) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	own, err := e.ownAddresses(ctx)
	if err != nil {
		return err
	}
	return admit(address, own)
}

// ownAddresses returns the API server's addresses. Without them nothing can be
// told from the API server, so that not knowing them is an error; what was known
// before stands while they can't be resolved.
func (e *egress) ownAddresses(ctx context.Context) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(e.apiServer); err == nil {
		return []netip.Addr{ip}, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Now().Before(e.expires) {
		return e.own, e.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ownTimeout) // for others too
	defer cancel()
	own, err := e.lookUp(ctx, e.apiServer)
	switch {
	case err == nil:
		e.own, e.err, e.expires = own, nil, time.Now().Add(ownLifetime)
	case e.own != nil:
		e.expires = time.Now().Add(ownTimeout)
	default:
		e.err = fmt.Errorf("resolve the API server's name, which sinks may not connect to: %w", err)
		e.expires = time.Now().Add(ownTimeout)
	}
	return e.own, e.err
}

// admit returns an error unless a sink may connect to the resolved address.
func admit(address string, own []netip.Addr) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address %s: %w", address, err)
	}
	ip := plain(resolved.Addr())
	within := func(p netip.Prefix) bool { return p.Contains(ip) }
	isIP := func(other netip.Addr) bool { return plain(other) == ip }
	switch {
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(),
		slices.ContainsFunc(forbidden, within), slices.ContainsFunc(own, isIP):
		return fmt.Errorf("sinks may not connect to %s: it is a loopback, link-local, multicast or metadata address, or the API server's", ip)
	}
	return nil
}

// plain returns the address that is reached: the IPv4 address in one of IPv6
// that is only another way to write it, and none has a zone.
func plain(ip netip.Addr) netip.Addr {
	ip = ip.WithZone("").Unmap()
	if ip.Is6() && !ip.IsLoopback() && slices.ContainsFunc(embedding, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		bytes := ip.As16()
		return netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return ip
}
