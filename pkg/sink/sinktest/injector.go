package sinktest

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// ErrInjected is what a step that was made to fail returns.
var ErrInjected = errors.New("injected: connection reset")

// Injector is the Faults of a destination whose accesses somebody counts with
// Step, or who has it dial. From the first step that fails on, all do, until
// Interrupt is called again. It is safe for concurrent use.
type Injector struct {
	mu      sync.Mutex // guards what follows
	armed   bool
	left    int // steps before the first that fails
	how     Interruption
	failed  bool
	written int64
}

// Interrupt implements Faults.
func (i *Injector) Interrupt(n int, how Interruption) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.armed, i.left, i.how, i.failed = n >= 0, n, how, false
}

// Interrupted implements Faults.
func (i *Injector) Interrupted() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// Written implements Faults.
func (i *Injector) Written() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.written
}

// Add counts bytes that were written.
func (i *Injector) Add(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.written += int64(n)
}

// Step reports whether the next step fails, and how.
func (i *Injector) Step() (fails bool, how Interruption) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case !i.armed:
		return false, 0
	case i.left > 0:
		i.left--
		return false, 0
	}
	i.failed = true
	return true, i.how
}

// Dial connects, unless a step has failed. What the connection sends at once is a
// step; one without an answer loses the connection when the answer would come.
func (i *Injector) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if i.Interrupted() {
		return nil, ErrInjected
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: conn, faults: i}, nil
}

type faultyConn struct {
	net.Conn
	faults *Injector

	mu   sync.Mutex
	deaf bool // what the server answers is lost
}

func (c *faultyConn) Write(p []byte) (n int, err error) {
	fails, how := c.faults.Step()
	switch {
	case !fails || how == Unanswered:
		if fails {
			c.mu.Lock()
			c.deaf = true
			c.mu.Unlock()
		}
		n, err = c.Conn.Write(p)
		c.faults.Add(n)
		return n, err
	case how == Cut:
		n, _ = c.Conn.Write(p[:len(p)/2])
		c.faults.Add(n)
	}
	c.Conn.Close()
	return n, ErrInjected
}

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
