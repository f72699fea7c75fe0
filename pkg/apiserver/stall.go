package apiserver

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

const (
	// stallTimeout is how long a client may take to accept stallChunk bytes.
	stallTimeout = 30 * time.Second
	stallChunk   = 64 << 10
)

// endStalls has the server wait for no client that does not read.
func endStalls(config *genericapiserver.Config) {
	config.SecureServing.Listener = stallListener{config.SecureServing.Listener, stallTimeout}
	build := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return withStallTimeout(build(handler, c), stallTimeout)
	}
}

// withStallTimeout ends a request whose client does not read its answer. Neither
// the request's own timeout nor its context ends a write that waits for such a
// client, and so all that the request holds would be held for as long as the
// connection lives: the seats of a list above all.
//
// It has to be the outermost handler.
func withStallTimeout(handler http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &stallWriter{ResponseWriter: w, controller: http.NewResponseController(w), timeout: timeout, logger: klog.FromContext(r.Context())}
		s.begin()
		defer func() {
			if s.finish() {
				s.logger.V(2).Info("Ended a request whose client did not read", "path", r.URL.Path, "userAgent", r.UserAgent())
			}
		}()
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(s), r)
	})
}

// stallWriter watches over each write.
type stallWriter struct {
	http.ResponseWriter
	controller *http.ResponseController
	timeout    time.Duration
	logger     klog.Logger

	mu    sync.Mutex  // guards what follows
	timer *time.Timer // runs for as long as the request does: writes are many
	since time.Time   // it is writing; zero: it is not
	over  bool        // the request is
	ended bool        // by check
}

var _ responsewriter.UserProvidedDecorator = &stallWriter{}

// Unwrap returns the writer that is watched over.
func (s *stallWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// Write writes in chunks, each of which may take its time.
func (s *stallWriter) Write(p []byte) (int, error) {
	written := 0
	for {
		chunk := p[written:min(len(p), written+stallChunk)]
		s.enter()
		n, err := s.ResponseWriter.Write(chunk)
		s.leave()
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// Flush flushes.
func (s *stallWriter) Flush() {
	s.enter()
	defer s.leave()
	_ = s.controller.Flush() // the next write has the error
}

// begin begins the checks.
func (s *stallWriter) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(s.timeout, s.check)
}

func (s *stallWriter) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Now()
}

func (s *stallWriter) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = time.Time{}
}

// check has the write that goes on fail if it takes too long, and else looks
// again when it will have. Nothing can begin meanwhile: a deadline must not be set
// for the writes after it.
func (s *stallWriter) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	left := s.timeout
	if !s.since.IsZero() {
		left -= time.Since(s.since)
	}
	if left > 0 {
		s.timer.Reset(left)
		return
	}
	s.ended = true
	if err := s.controller.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		s.logger.Error(err, "Set write deadline") // no connection of net/http is like that
	}
}

// finish ends the checks, and reports whether one ended the request.
func (s *stallWriter) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
	s.over = true
	return s.ended
}

// stallListener accepts connections on which a write does not wait for longer
// than the timeout: those of which no one reads at all, and those whose other
// end is gone.
type stallListener struct {
	net.Listener
	timeout time.Duration
}

// Accept waits for the next connection.
func (l stallListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallConn{Conn: conn, timeout: l.timeout}, nil
}

type stallConn struct {
	net.Conn
	timeout  time.Duration
	deadline atomic.Pointer[time.Time] // nil unless Write has set the one that holds
}

// SetDeadline sets both deadlines, until the next write.
func (c *stallConn) SetDeadline(t time.Time) error {
	c.deadline.Store(nil)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline sets the deadline of a write that goes on.
func (c *stallConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(nil)
	return c.Conn.SetWriteDeadline(t)
}

// Write writes in chunks, each of which may take its time, or a little less:
// writes are many, and a deadline is good for those of a while.
func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.extend(time.Now()); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:min(len(p), written+stallChunk)])
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}

// extend sets the deadline, unless the last is still good.
func (c *stallConn) extend(now time.Time) error {
	if set := c.deadline.Load(); set != nil && set.Sub(now) >= c.timeout-c.timeout/10 {
		return nil
	}
	deadline := now.Add(c.timeout)
	if err := c.Conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	c.deadline.Store(&deadline)
	return nil
}
