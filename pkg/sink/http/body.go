package httpsink

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"sync"

	"kollect.io/kollect/pkg/format"
	"kollect.io/kollect/pkg/sink"
)

// keptBytes is the size up to which a body is kept between its digest and its way out.
const keptBytes = 1 << 20

// body is what is sent of an export. It is encoded once for the digest and the
// length, so that they can stand in the header, where any receiver finds them: a
// trailer is lost at most proxies, and a length lets a receiver refuse early. A
// large one is encoded again each time it is read, which gives the same bytes.
type body struct {
	export sink.Export
	format format.Format
	digest string // of the bytes as they are sent
	size   int64
	kept   []byte // nil: it is too large

	mu   sync.Mutex
	open []io.Closer // that were handed out
}

// newBody encodes the export, and keeps what that gives if it is no more than keep
// bytes.
func newBody(ctx context.Context, f format.Format, export sink.Export, keep int) (*body, error) {
	b := &body{export: export, format: f}
	digest, start := sha256.New(), &capped{limit: keep}
	sized := &counting{ctx: ctx, w: io.MultiWriter(digest, start)}
	if err := b.encode(sized); err != nil {
		return nil, fmt.Errorf("encode the snapshot: %w", err)
	}
	b.digest, b.size = contentDigest(digest.Sum(nil)), sized.n
	if !start.full {
		b.kept = start.Bytes()
	}
	return b, nil
}

// contentDigest returns a Content-Digest (RFC 9530).
func contentDigest(sum []byte) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// encode writes the bytes of the body, the same each time.
func (b *body) encode(w io.Writer) error {
	buffered := bufio.NewWriterSize(w, 64<<10) // a compressor writes little at a time
	compressor, err := gzip.NewWriterLevel(buffered, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := b.format.Write(compressor, b.export.Snapshot, format.Options{Generation: b.export.Generation, Time: b.export.Time}); err != nil {
		return err
	}
	if err := compressor.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// attach makes it the body of the request, which can be sent any number of times.
func (b *body) attach(r *http.Request) {
	r.ContentLength = b.size
	r.GetBody = func() (io.ReadCloser, error) { return b.reader(), nil }
	r.Body = b.reader()
}

func (b *body) reader() io.ReadCloser {
	if b.kept != nil {
		return io.NopCloser(bytes.NewReader(b.kept))
	}
	out, in := io.Pipe()
	stream := &stream{PipeReader: out, done: make(chan struct{})}
	go func() {
		defer close(stream.done)
		in.CloseWithError(b.encode(in))
	}()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = append(b.open, stream)
	return stream
}

// close ends all readers, and waits for them.
func (b *body) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, reader := range b.open {
		reader.Close() // never fails
	}
}

// stream is a body on its way.
type stream struct {
	*io.PipeReader
	done chan struct{} // closed when nobody writes to it any more
}

func (s *stream) Close() error {
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// capped keeps what is written, unless it is more than limit bytes.
type capped struct {
	bytes.Buffer
	limit int
	full  bool // it is more
}

func (c *capped) Write(p []byte) (int, error) {
	if c.full = c.full || c.Len()+len(p) > c.limit; c.full {
		c.Buffer = bytes.Buffer{}
		return len(p), nil
	}
	return c.Buffer.Write(p)
}

// counting counts the bytes that are written through it, until ctx ends.
type counting struct {
	ctx context.Context
	w   io.Writer
	n   int64
}

func (c *counting) Write(p []byte) (int, error) {
	if err := context.Cause(c.ctx); err != nil {
		return 0, err
	}
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
