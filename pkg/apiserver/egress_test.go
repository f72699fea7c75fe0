package apiserver

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestSinksMayNotReachTheServersOwnNetwork(t *testing.T) {
	own := netip.MustParseAddr("10.96.0.1")
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
