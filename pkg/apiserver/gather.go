package apiserver

import (
	"net"
	"sync"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

const (
	// fullRecord is what a record of TLS that is full takes at least. Only long
	// answers have such records, and most are followed by others.
	fullRecord = 16 << 10
	// gatherSize is how many bytes of them are written together at most: what the
	// kernel passes on as one, and no more than is one chunk to a stallConn.
	gatherSize = stallChunk
	// gatherDelay is how long they are held back at most.
	gatherDelay = 200 * time.Microsecond
)

// gatherWrites has the server write long answers by fewer system calls: they, and
// that they wake the client each time, take longer than to encrypt what is written.
func gatherWrites(config *genericapiserver.Config) {
	config.SecureServing.Listener = gatherListener{config.SecureServing.Listener}
}

// gatherListener accepts connections that write full records of TLS some at a
// time.
type gatherListener struct{ net.Listener }

// Accept waits for the next connection.
func (l gatherListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &gatherConn{Conn: conn}, nil
}

// gatherConn holds full records back until there are some, something shorter
// comes, or a moment has passed. If they cannot be written, the next write fails;
// since there may be none, the connection is closed if it was not a write that
// found out.
type gatherConn struct {
	net.Conn

	mu    sync.Mutex // guards what follows, and writes
	held  *gathered  // nil: nothing
	timer *time.Timer
	err   error // of what was held
}

// gathered is what is held.
type gathered struct {
	size  int
	bytes [gatherSize]byte
}

var gatheredPool = sync.Pool{New: func() any { return &gathered{} }}

// Write writes p, or holds it.
func (c *gatherConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	full := len(p) >= fullRecord && len(p) <= gatherSize
	if !full || c.room() < len(p) {
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	if !full {
		return c.Conn.Write(p)
	}
	c.hold(p)
	if c.room() < len(p) { // for one more
		return len(p), c.send()
	}
	return len(p), nil
}

func (c *gatherConn) room() int {
	if c.held == nil {
		return gatherSize
	}
	return gatherSize - c.held.size
}

func (c *gatherConn) hold(p []byte) {
	if c.held == nil {
		c.held = gatheredPool.Get().(*gathered)
		if c.timer == nil {
			c.timer = time.AfterFunc(gatherDelay, c.sendLate)
		} else {
			c.timer.Reset(gatherDelay)
		}
	}
	c.held.size += copy(c.held.bytes[c.held.size:], p)
}

// send writes what is held.
func (c *gatherConn) send() error {
	if c.held == nil {
		return nil
	}
	held := c.held
	c.held = nil
	_, c.err = c.Conn.Write(held.bytes[:held.size])
	held.size = 0
	gatheredPool.Put(held)
	return c.err
}

// sendLate is for what nothing came after.
func (c *gatherConn) sendLate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.send() != nil {
		_ = c.Close() // which tells those who read
	}
}
