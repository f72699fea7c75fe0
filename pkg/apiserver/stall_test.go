package apiserver

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// serveStalls returns a server with one handler, and what the handler returns.
func serveStalls(t *testing.T, timeout time.Duration, handle func(http.ResponseWriter) error) (*httptest.Server, <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	server := httptest.NewUnstartedServer(withStallTimeout(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ended <- handle(w)
	}), timeout))
	server.Listener = gatherListener{stallListener{server.Listener, timeout}}
	server.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	return server, ended
}

func writeUntilError(w http.ResponseWriter) error {
	megabyte := make([]byte, 1<<20)
	for range 1024 {
		if _, err := w.Write(megabyte); err != nil {
			return err
		}
		w.(http.Flusher).Flush()
	}
	return nil
}

// A client that stops reading is not waited for, whatever it speaks, and
// whether it is there or not.
func TestClientsThatDoNotReadAreLeft(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *httptest.Server){
		"HTTP/1.1": func(t *testing.T, server *httptest.Server) {
			dial(t, server, "http/1.1", "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		},
		"HTTP/2 stream": func(t *testing.T, server *httptest.Server) { // whose connection is read
			response, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { response.Body.Close() })
			if response.ProtoMajor != 2 {
				t.Fatal(response.Proto)
			}
		},
		"HTTP/2 connection": func(t *testing.T, server *httptest.Server) {
			// Settings: a window of 1 GiB, for streams and for the connection; then GET / of
			// the static table's entries.
			dial(t, server, "h2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
				"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x40\x00\x00\x00"+
				"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x40\x00\x00\x00"+
				"\x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x84\x87\x41\x01x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, ended := serveStalls(t, 200*time.Millisecond, writeUntilError)
			open(t, server)
			select {
			case err := <-ended:
				if err == nil {
					t.Error("all was written")
				}
			case <-time.After(20 * time.Second):
				t.Error("the server waits for the client")
			}
		})
	}
}

// dial opens a connection of which nothing is read after the handshake.
func dial(t *testing.T, server *httptest.Server, protocol, request string) {
	t.Helper()
	conn, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
		t.Fatalf("got protocol %q", got)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
}

// What takes its time between writes, or is long, is not ended: only what waits
// for one write.
func TestSlowAnswersAreNotEnded(t *testing.T) {
	const timeout = 100 * time.Millisecond
	part := bytes.Repeat([]byte("x"), 100<<10)
	for _, protocols := range [][]string{{"http/1.1"}, {"h2"}} {
		next := make(chan struct{})
		server, ended := serveStalls(t, timeout, func(w http.ResponseWriter) error {
			for range 5 {
				if _, err := w.Write(part); err != nil {
					return err
				}
				w.(http.Flusher).Flush()
				<-next
			}
			return nil
		})
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: protocols}, ForceAttemptHTTP2: protocols[0] == "h2"}
		t.Cleanup(transport.CloseIdleConnections)
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			got := make([]byte, len(part))
			if _, err := io.ReadFull(response.Body, got); err != nil || !bytes.Equal(got, part) {
				t.Fatalf("%v: part %d: %v", protocols, i, err)
			}
			<-time.After(2 * timeout) // of real connections
			next <- struct{}{}
		}
		if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
			t.Errorf("%v: %d bytes too many, %v", protocols, len(rest), err)
		}
		response.Body.Close()
		if err := <-ended; err != nil {
			t.Errorf("%v: %v", protocols, err)
		}
	}
}

func TestStalledConnectionsTimeOut(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := stallListener{listener, 50 * time.Millisecond}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for part := make([]byte, 1<<20); err == nil; {
		_, err = conn.Write(part)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(fmt.Errorf("got %w, want a deadline", err))
	}
}
