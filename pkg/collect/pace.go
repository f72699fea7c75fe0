package collect

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// pace is how long what comes to a connection may wait for more.
	pace = 10 * time.Millisecond
	// plenty is so much within the pace that it is not worth while to wait.
	plenty = 64 << 10
	// steady is how many reads in a row have to have brought less than plenty.
	steady = 32
)

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// pacedDial returns a dial function whose connections are read once in the pace
// while little comes often, as watched events do: one by one, each wakes all that
// it passes on its way to the store, and that costs more than to take it in. What
// comes after a while without anything is read at once, as is what there is much
// of, such as lists. A nil dial stands for the one that client-go has.
func pacedDial(dial dialFunc) dialFunc {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return newPacedConn(conn), nil
	}
}

// pacedConn is such a connection. One goroutine at a time reads, as TLS does.
type pacedConn struct {
	net.Conn
	close  sync.Once
	closed chan struct{}
	timer  *time.Timer // stopped but for while it is waited for

	begun time.Time // when it was last read after a wait, or after a while
	size  int       // what was read since
	empty bool      // whether the last read brought all that there was
	reads int       // how many in a row brought that, and no plenty
}

func newPacedConn(conn net.Conn) *pacedConn {
	timer := time.NewTimer(pace)
	timer.Stop()
	return &pacedConn{Conn: conn, closed: make(chan struct{}), timer: timer}
}

// Read reads, if need be after a wait.
func (c *pacedConn) Read(p []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Read(p)
	c.size += n
	if c.empty = n < len(p); c.empty {
		c.reads++
	}
	if c.size >= plenty {
		c.reads = 0
	}
	return n, err
}

func (c *pacedConn) wait() {
	now := time.Now()
	if left := pace - now.Sub(c.begun); left > 0 {
		if !c.empty || c.reads < steady {
			return
		}
		c.timer.Reset(left)
		select {
		case <-c.timer.C:
		case <-c.closed:
			c.timer.Stop()
		}
		now = now.Add(left)
	}
	c.begun, c.size = now, 0
}

// Close also ends a wait.
func (c *pacedConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
