package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// special are networks that are admitted only where a network within them is: what
// the machine and its links offer, and addresses at which clouds tell who asks, and
// whom the machine acts for.
var special = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),        // loopback
	netip.MustParsePrefix("::1/128"),            // loopback
	netip.MustParsePrefix("0.0.0.0/8"),          // this host
	netip.MustParsePrefix("169.254.0.0/16"),     // link-local
	netip.MustParsePrefix("fe80::/10"),          // link-local
	netip.MustParsePrefix("224.0.0.0/4"),        // multicast
	netip.MustParsePrefix("ff00::/8"),           // multicast
	netip.MustParsePrefix("255.255.255.255/32"), // broadcast
	netip.MustParsePrefix("169.254.169.254/32"), // metadata of most clouds
	netip.MustParsePrefix("169.254.170.2/32"),   // AWS, credentials of a container
	netip.MustParsePrefix("169.254.170.23/32"),  // AWS, credentials of a Pod
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS, metadata and other services of an instance
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
}

// embedding are prefixes of IPv6 that a gateway takes for the IPv4 address in the
// last four bytes: NAT64, IPv4-compatible addresses and translated ones.
var embedding = []netip.Prefix{
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("::/96"),
	netip.MustParsePrefix("::ffff:0:0:0/96"),
}

// egress is how sinks connect, and judges where they may: a sink's address is
// written by a tenant, and must not reach what only the server can. It is safe for
// concurrent use.
type egress struct {
	apiServer string         // host
	allowed   []netip.Prefix // see admit
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

// newEgress returns the egress that admits the allowed networks, but for the API
// server's own addresses, which are those of the host of a URL.
func newEgress(apiServer string, allowed []netip.Prefix) *egress {
	e := &egress{apiServer: apiServer, allowed: allowed, lookUp: func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}}
	if u, err := url.Parse(apiServer); err == nil && u.Hostname() != "" {
		e.apiServer = u.Hostname()
	} else if host, _, err := net.SplitHostPort(apiServer); err == nil {
		e.apiServer = host
	}
	return e
}

// client returns an HTTP client for sinks.
func (e *egress) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 nil, // it would dial on behalf of anybody
		DialContext:           e.DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
	}}
}

// DialContext connects by TCP to an address that is admitted. A name is resolved
// first, and each address that it stands for is judged.
func (e *egress) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, fmt.Errorf("connect to %s: sinks connect by TCP, not by %s", address, network)
	}
	dialer := net.Dialer{Timeout: 10 * time.Second, ControlContext: e.control}
	return dialer.DialContext(ctx, network, address)
}

func (e *egress) control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	own, err := e.ownAddresses(ctx)
	if err != nil {
		return err
	}
	return e.admit(address, own)
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

// admit returns an error unless a sink may connect to the resolved address. An
// allowed network that holds it admits it, but for special networks and the API
// server's own addresses: those take one that is no larger than they are.
func (e *egress) admit(address string, own []netip.Addr) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address %s: %w", address, err)
	}
	ip := plain(resolved.Addr())
	bits := -1 // of the smallest allowed network
	for _, p := range e.allowed {
		if p.Contains(ip) {
			bits = max(bits, p.Bits())
		}
	}
	if bits < 0 {
		return fmt.Errorf("sinks may not connect to %s: it is not in --sink-allowed-cidrs", ip)
	}
	needs := 0
	for _, p := range special {
		if p.Contains(ip) {
			needs = max(needs, p.Bits())
		}
	}
	if slices.ContainsFunc(own, func(a netip.Addr) bool { return plain(a) == ip }) {
		needs = ip.BitLen()
	}
	if bits < needs {
		return fmt.Errorf("sinks may not connect to %s: it is a loopback, link-local, multicast or metadata address, or the API server's, which only a network of its own in --sink-allowed-cidrs admits", ip)
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

// sinkAllowed returns the networks that sinks may connect to.
func (o *Options) sinkAllowed() ([]netip.Prefix, error) {
	if len(o.SinkAllowedCIDRs) == 0 {
		return nil, errors.New("--sink-allowed-cidrs is empty: give the networks that sinks may connect to, such as 10.0.0.0/8, or 0.0.0.0/0,::/0 for all")
	}
	allowed := make([]netip.Prefix, 0, len(o.SinkAllowedCIDRs))
	var errs []error
	for _, text := range o.SinkAllowedCIDRs {
		p, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("--sink-allowed-cidrs %q: %w", text, err))
		}
		allowed = append(allowed, p)
	}
	return allowed, errors.Join(errs...)
}

// parseNetwork parses a network that is written as it is judged.
func parseNetwork(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return netip.Prefix{}, fmt.Errorf("is an address: write the network %s/%d", ip.WithZone(""), ip.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errors.New("is not a network: write it as 10.0.0.0/8 or fd00::/8")
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("has bits beyond its length: write %s for the network, or %s/%d for the address", p.Masked(), p.Addr(), p.Addr().BitLen())
	}
	if plain(p.Addr()).BitLen() != p.Addr().BitLen() && p.Bits() >= 96 {
		return netip.Prefix{}, fmt.Errorf("is another way to write networks of IPv4, as which they are judged: write %s/%d", plain(p.Addr()), p.Bits()-96)
	}
	return p, nil
}
