package kafka

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"kollect.io/kollect/pkg/sink/sinktest"
)

var errInjected = errors.New("injected: connection reset")

// faults fails connections on cue. A step is what is sent at once.
type faults struct {
	mu      sync.Mutex // guards what follows
	left    int        // steps before the first that fails; negative: none fails
	how     sinktest.Interruption
	failed  bool
	written int64
}

func (f *faults) Interrupt(n int, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.how, f.failed = n, how, false
}

func (f *faults) Interrupted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *faults) Written() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// step reports whether the next step fails.
func (f *faults) step(n int) (fails bool, how sinktest.Interruption) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.left < 0:
		f.written += int64(n)
		return false, 0
	case f.left > 0:
		f.left--
		return false, 0
	}
	f.failed = true
	return true, f.how
}

// dial fails once a step has failed.
func (f *faults) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	fails := f.left == 0 && f.failed
	f.mu.Unlock()
	if fails {
		return nil, errInjected
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: conn, faults: f}, nil
}

type faultyConn struct {
	net.Conn
	faults *faults

	mu   sync.Mutex
	deaf bool // what the server answers is lost
}

func (c *faultyConn) Write(p []byte) (int, error) {
	fails, how := c.faults.step(len(p))
	switch {
	case !fails:
		return c.Conn.Write(p)
	case how == sinktest.Unanswered:
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
		return c.Conn.Write(p)
	case how == sinktest.Cut:
		c.Conn.Write(p[:len(p)/2])
	}
	c.Conn.Close()
	return 0, errInjected
}

// Read loses the connection when an answer would come.
func (c *faultyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf && err == nil {
		c.Conn.Close()
		return 0, io.EOF
	}
	return n, err
}
