package apiserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// everywhere is the default of --sink-allowed-cidrs.
var everywhere = networks("0.0.0.0/0", "::/0")

func networks(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestSinksMayNotReachTheServersOwnNetwork(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("10.96.0.1"), netip.MustParseAddr("2001:db8::6443")}
	for _, test := range []struct {
		address string
		admit   bool
	}{
		{"127.0.0.1:80", false},
		{"127.8.8.8:443", false},
		{"[::1]:443", false},
		{"[::ffff:127.0.0.1]:443", false},
		{"169.254.169.254:80", false},
		{"169.254.170.23:80", false},
		{"[fe80::1%eth0]:80", false},
		{"0.0.0.0:80", false},
		{"224.0.0.1:80", false},
		{"10.96.0.1:443", false},
		{"[::ffff:10.96.0.1]:443", false},
		{"[2001:db8::6443]:443", false},
		{"[fd00:ec2::254]:80", false},
		{"[fd20:ce::254]:80", false},
		{"100.100.100.200:80", false},
		{"168.63.129.16:80", false},
		{"192.0.0.192:80", false},
		{"0.1.2.3:80", false},
		{"255.255.255.255:80", false},
		{"[::ffff:168.63.129.16]:80", false},
		{"[64:ff9b::169.254.169.254]:80", false},
		{"[64:ff9b::127.0.0.1]:80", false},
		{"[64:ff9b::10.96.0.1]:443", false},
		{"[64:ff9b::168.63.129.16]:80", false},
		{"[64:ff9b::192.0.2.1]:443", true},
		{"[::127.0.0.1]:80", false},
		{"[::ffff:0:169.254.169.254]:80", false},
		{"[::]:80", false},
		{"[fd00:ec3::1]:443", true},
		{"10.96.0.2:443", true},
		{"192.0.2.1:9000", true},
		{"[2001:db8::1]:443", true},
		{"no address", false},
	} {
		if err := newEgress("", everywhere).admit(test.address, own); (err == nil) != test.admit {
			t.Errorf("%s: got %v, want admission %v", test.address, err, test.admit)
		}
	}
}

func TestTheAPIServersNameIsResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEgress("https://api.prod.example:6443", everywhere)
		asked, down := 0, error(nil)
		e.lookUp = func(_ context.Context, host string) ([]netip.Addr, error) {
			asked++
			if host != "api.prod.example" {
				t.Errorf("asked for %s", host)
			}
			return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("2001:db8::7")}, down
		}
		dial := func(address string) error { return e.control(t.Context(), "tcp", address, nil) }
		for address, admitted := range map[string]bool{"192.0.2.7:6443": false, "[2001:db8::7]:443": false, "192.0.2.8:443": true} {
			if err := dial(address); (err == nil) != admitted {
				t.Errorf("%s: got %v, want admission %v", address, err, admitted)
			}
		}
		if asked != 1 {
			t.Errorf("the name was resolved %d times, want once a minute", asked)
		}
		time.Sleep(ownLifetime) // of the bubble's clock
		down = errors.New("no such host")
		if err := dial("192.0.2.7:443"); err == nil {
			t.Error("the API server's address is admitted once its name can't be resolved")
		}
		if err := dial("192.0.2.8:443"); err != nil {
			t.Errorf("got %v while the last known addresses stand", err)
		}
		if asked != 2 {
			t.Errorf("the name was resolved %d times, want a second time", asked)
		}
		e.own, e.expires = nil, time.Time{}
		if err := dial("192.0.2.8:443"); !errors.Is(err, down) {
			t.Errorf("got %v where nobody knows which addresses are the API server's", err)
		}
		down = nil
		time.Sleep(ownTimeout)
		if err := dial("192.0.2.8:443"); err != nil {
			t.Errorf("got %v once the name is resolved again", err)
		}
	})
}

func TestAllowedNetworksAreAdmittedAndNoOthers(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.96.0.1")}
	for _, test := range []struct {
		allowed string
		address string
		admit   bool
	}{
		{"10.0.0.0/8", "10.1.2.3:5432", true},
		{"10.0.0.0/8", "[::ffff:10.1.2.3]:5432", true},
		{"10.0.0.0/8", "[64:ff9b::10.1.2.3]:5432", true},
		{"10.0.0.0/8", "11.0.0.1:5432", false},
		{"10.0.0.0/8", "[fd00::1]:5432", false},
		{"10.0.0.0/8", "10.96.0.1:443", false},
		{"10.96.0.0/31", "10.96.0.1:443", false},
		{"10.96.0.1/32", "10.96.0.1:443", true},
		{"10.96.0.1/32 10.0.0.0/8", "10.96.0.1:443", true},
		{"10.96.0.1/32 10.0.0.0/8", "10.96.0.2:443", true},
		{"::/0", "10.1.2.3:443", false},
		{"::/0", "[64:ff9b::10.1.2.3]:443", false},
		{"0.0.0.0/0", "[2001:db8::1]:443", false},
		{"64.0.0.0/2", "127.0.0.2:80", false},
		{"127.0.0.0/8", "127.0.0.2:80", true},
		{"127.0.0.0/8", "127.0.0.1:80", false}, // the API server's, here
		{"127.0.0.1/32", "127.0.0.1:80", true},
		{"127.0.0.0/8", "[::1]:80", false},
		{"::1/128", "[::1]:80", true},
		{"169.254.0.0/16", "169.254.1.1:80", true},
		{"169.254.0.0/16", "169.254.169.254:80", false},
		{"169.254.169.254/32", "169.254.169.254:80", true},
		{"fe80::/10", "[fe80::1%eth0]:80", true},
		{"fd00::/8", "[fd00:ec2::254]:80", false},
		{"fd00::/8", "[fd00:ec3::254]:80", true},
	} {
		e := newEgress("", networks(strings.Fields(test.allowed)...))
		if err := e.admit(test.address, own); (err == nil) != test.admit {
			t.Errorf("%s of %s: got %v, want admission %v", test.address, test.allowed, err, test.admit)
		}
	}
}

func TestAllowedNetworksAreValidated(t *testing.T) {
	for _, test := range []struct {
		cidrs string
		want  string // empty: valid
	}{
		{"0.0.0.0/0,::/0", ""},
		{"10.0.0.0/8,fd00::/8,127.0.0.1/32,::1/128", ""},
		{"", "is empty"},
		{"10.0.0.0/8,x", `"x": is not a network`},
		{"10.0.0.0/33", `"10.0.0.0/33": is not a network`},
		{"10.0.0.1", "write the network 10.0.0.1/32"},
		{"fe80::1%eth0", "write the network fe80::1/128"},
		{"10.0.0.1/8", "write 10.0.0.0/8 for the network, or 10.0.0.1/32 for the address"},
		{"::ffff:10.0.0.0/104", "write 10.0.0.0/8"},
		{"64:ff9b::/96", "write 0.0.0.0/0"},
	} {
		o := NewOptions()
		sets := o.Flags()
		if err := sets.FlagSet("kollect").Parse([]string{"--sink-allowed-cidrs=" + test.cidrs}); err != nil {
			t.Fatal(err)
		}
		err := o.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.cidrs, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), "--sink-allowed-cidrs") || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", test.cidrs, err, test.want)
		}
	}
}

func TestEgressIsJudgedWhenDialling(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	refusing := newEgress("https://10.96.0.1:443", everywhere)
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		response, err := refusing.client().Get(url)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "may not connect") {
			t.Errorf("%s: got error %v", url, err)
		}
		conn, err := refusing.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "may not connect") {
			t.Errorf("%s: got error %v", url, err)
		}
	}
	if reached.Load() != 0 {
		t.Error("a loopback server was reached")
	}
	response, err := newEgress("https://10.96.0.1:443", networks("127.0.0.0/8")).client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if reached.Load() != 1 {
		t.Error("a loopback server was not reached where loopback is allowed")
	}
}

func TestSinksConnectByTCPAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for network, address := range map[string]string{"unix": path, "udp": "192.0.2.1:53"} {
		conn, err := newEgress("https://10.96.0.1:443", everywhere).DialContext(t.Context(), network, address)
		if err == nil {
			conn.Close()
			t.Errorf("connected by %s", network)
		}
	}
}
