package nats_test

import (
	"fmt"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// options are of a server on a free port with its state in dir.
func options(dir string) *server.Options {
	return &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		DisableJetStreamBanner: true,
	}
}

// start starts a server, which ends with the test.
func start(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatalf("make server: %v", err)
	}
	s.Start()
	t.Cleanup(func() { stop(s) })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// startCluster starts three servers.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	addresses := freeAddresses(t, 3)
	var servers []*server.Server
	for i, address := range addresses {
		o := options(t.TempDir())
		o.ServerName = fmt.Sprintf("nats-%d", i)
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: address.Port}
		for _, other := range addresses {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: other.String()})
		}
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatalf("make server: %v", err)
		}
		s.Start()
		t.Cleanup(func() { stop(s) })
		servers = append(servers, s)
	}
	until(t, "the cluster has a leader of all three", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == len(servers)
			}
		}
		return false
	})
	for _, s := range servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a server is not ready")
		}
	}
	return servers
}

// freeAddresses takes all at once, lest two be the same.
func freeAddresses(t *testing.T, n int) (addresses []*net.TCPAddr) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().(*net.TCPAddr))
	}
	return addresses
}

// until waits for what comes.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within 30s: %s", what)
		}
	}
}

// client is of somebody else than the sink.
func client(t testing.TB, address string, options ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(address, append(options, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))...)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}
