package crash

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"kollect.io/kollect/test/child"
)

// endpoint is an HTTP server that keeps what it accepted last of each inventory, also
// while it is away.
type endpoint struct {
	address string
	server  *http.Server
	serving sync.WaitGroup

	mu     sync.Mutex // guards what follows
	held   map[string]*sent
	broken error
}

// sent is what came with a request.
type sent struct {
	header http.Header
	body   []byte
}

func (s *sent) generation() int64 {
	n, _ := strconv.ParseInt(s.header.Get("Kollect-Generation"), 10, 64)
	return n
}

var _ crasher = (*endpoint)(nil)

func startEndpoint(ctx context.Context) (*endpoint, error) {
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	e := &endpoint{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), held: map[string]*sent{}}
	return e, e.up(ctx)
}

func (*endpoint) name() string { return "endpoint" }
func (*endpoint) slow() bool   { return true }
func (e *endpoint) end() error { return e.kill() }

func (e *endpoint) sink(string) string {
	return fmt.Sprintf(`apiVersion: kollect.io/v1alpha1
kind: KollectSink
metadata: {name: endpoint}
spec: {type: http, http: {url: "http://%s/{cluster}/{namespace}/{inventory}", format: ndjson}}
`, e.address)
}

func (e *endpoint) kill() error {
	err := e.server.Close()
	e.serving.Wait()
	return err
}

func (e *endpoint) up(context.Context) error {
	listener, err := net.Listen("tcp", e.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	e.server = server
	e.serving.Go(func() { _ = server.Serve(listener) })
	return nil
}

// ServeHTTP is a receiver as the documentation wants it.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	digest := sha256.Sum256(body)
	if err != nil || r.Header.Get("Content-Digest") != "" && r.Header.Get("Content-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(digest[:])+":" {
		http.Error(w, "the body is cut short", http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	next, held := &sent{r.Header, body}, e.held[r.URL.Path]
	if held == nil {
		held = &sent{header: http.Header{"Kollect-Generation": {"0"}}}
	}
	same := func(headers ...string) bool {
		for _, header := range headers {
			if held.header.Get(header) != r.Header.Get(header) {
				return false
			}
		}
		return true
	}
	switch {
	case r.Method == http.MethodHead:
		for name, values := range held.header {
			if strings.HasPrefix(name, "Kollect-") {
				w.Header()[name] = values
			}
		}
	case r.Method == http.MethodPatch && same("Kollect-Generation", "Kollect-Content-Hash", "Kollect-Schema"):
		held.header.Set("Kollect-Time", r.Header.Get("Kollect-Time"))
	case r.Method == http.MethodPut && next.generation() > held.generation():
		if _, err := next.content(); err != nil && e.broken == nil {
			e.broken = brokenf("generation %d of %s: %v", next.generation(), r.URL.Path, err)
		}
		e.held[r.URL.Path] = next
	case r.Method == http.MethodPut && same("Idempotency-Key", "Content-Digest"): // once more
	default:
		w.WriteHeader(http.StatusConflict)
	}
}

func (e *endpoint) read(_ context.Context, namespace, inventory string) (content, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	held := e.held["/"+clusterName+"/"+namespace+"/"+inventory]
	if held == nil {
		return content{}, errors.New("nothing was sent")
	}
	c, err := held.content()
	return c, errors.Join(e.broken, err)
}

func (s *sent) content() (c content, err error) {
	c = content{Generation: s.generation(), Hash: s.header.Get("Kollect-Content-Hash"), Rows: map[string]row{}}
	if c.Confirmed, err = time.Parse(time.RFC3339, s.header.Get("Kollect-Time")); err != nil {
		return c, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(s.body))
	if err != nil {
		return c, err
	}
	for lines := json.NewDecoder(plain); ; {
		var d document
		if err := lines.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return c, err
		}
		c.Rows[d.Key] = d.row()
	}
	if rows := s.header.Get("Kollect-Rows"); rows != strconv.Itoa(len(c.Rows)) {
		return c, fmt.Errorf("%d rows, of which it says that they are %s", len(c.Rows), rows)
	}
	return c, nil
}
