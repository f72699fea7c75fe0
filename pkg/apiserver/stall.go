package apiserver

import (
	"net"
	"net/http"
	"sync"
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
		s.timer = time.AfterFunc(timeout, s.end)
		s.timer.Stop()
		defer s.leave() // of the write that a panic ended
		defer func() {
			if s.stalled() {
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
	timer      *time.Timer
	logger     klog.Logger

	mu      sync.Mutex // guards what follows
	writing bool
	since   time.Time // it is writing
	ended   bool
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

func (s *stallWriter) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.since = true, time.Now()
	s.timer.Reset(s.timeout)
}

func (s *stallWriter) leave() {
	s.timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
}

// end has the write that goes on fail, if it is the one that the timer was set
// for: a deadline must not be set for those after it.
func (s *stallWriter) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writing || time.Since(s.since) < s.timeout {
		return
	}
	s.ended = true
	if err := s.controller.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		s.logger.Error(err, "Set write deadline") // no connection of net/http is like that
	}
}

func (s *stallWriter) stalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	timeout time.Duration
}

// Write writes in chunks, each of which may take its time.
func (c *stallConn) Write(p []byte) (int, error) {
	written := 0
	for {
		if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(p[written:min(len(p), written+stallChunk)])
		if written += n; err != nil || written == len(p) {
			return written, err
		}
	}
}
