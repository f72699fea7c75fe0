package apiserver

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// egressClient returns the HTTP client of sinks. It connects to no loopback,
// link-local, multicast or unspecified address, nor to the API server's own,
// given as a URL: a sink's URL is written by a tenant, and must not reach what
// only the server can. Addresses are judged after they were resolved.
func egressClient(apiServer string) *http.Client {
	var own netip.Addr
	if u, err := url.Parse(apiServer); err == nil {
		own, _ = netip.ParseAddr(u.Hostname()) // a name is resolved by nobody here
	}
	dialer := &net.Dialer{
		Timeout: 10 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error { return admit(address, own) },
	}
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

// admit returns an error unless a sink may connect to the resolved address.
func admit(address string, own netip.Addr) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parse address %s: %w", address, err)
	}
	ip := resolved.Addr().Unmap()
	switch {
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == own.Unmap():
		return fmt.Errorf("sinks may not connect to %s: it is a loopback, link-local or multicast address, or the API server's", ip)
	}
	return nil
}
