package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		if err := admit(test.address, own); (err == nil) != test.admit {
			t.Errorf("%s: got %v, want admission %v", test.address, err, test.admit)
		}
	}
}

func TestTheAPIServersNameIsResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEgress("https://api.prod.example:6443")
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

func TestEgressIsJudgedWhenDialling(t *testing.T) {
	var reached bool
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		response, err := egressClient("https://10.96.0.1:443").Get(url)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "may not connect") {
			t.Errorf("%s: got error %v", url, err)
		}
	}
	if reached {
		t.Error("a loopback server was reached")
	}
}
