package inventory

import (
	"fmt"
	"io"
	"iter"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kollect.io/kollect/pkg/inventory"
)

const (
	// partSize is from what size on a part of a list is written, while the next
	// is made. Large parts keep the goroutines, and the client, from waiting for
	// one another at every frame.
	partSize = 256 << 10
	// pieceSize is how much of a part is written at a time: what makes one record of
	// TLS together with the header of an HTTP/2 frame, and so one system call where
	// other sizes make two.
	pieceSize = 16<<10 - 9
	// leafSize is up to what size the encoding of a leaf is kept.
	leafSize = 256 << 10
	// ahead is for how many objects memory is waited at a time. They and what is
	// made of them fit into a processor's first cache.
	ahead = 8
)

// metaTypeMeta returns the members that say that an object is of the API's own
// kinds.
func metaTypeMeta(kind string) string {
	return `"kind":"` + kind + `","apiVersion":"` + metav1.SchemeGroupVersion.String() + `",`
}

// writeJSON writes what encoding/json makes of the list, or of its table if that
// is what was asked for.
func (l *list[T]) writeJSON(w io.Writer) error {
	// By a first write of 4 bytes or less the response writer sees that more
	// comes, and that compression may pay.
	if _, err := io.WriteString(w, "{"); err != nil {
		return err
	}
	c := &objectsWriter[T]{
		parts:    parts{w: w, buf: make([]byte, 0, 16<<10), full: partSize},
		appender: l.of.kind.appender(), next: make([]T, 0, ahead),
	}
	defer func() { _ = c.wait() }() // nobody may write once this has returned, be it by a panic
	typeMeta, start := l.of.kind.names().typeMeta("List"), `,"items":[`
	c.each = func(buf []byte, object T) []byte { return c.appender.object(buf, object, "") }
	if l.table != nil {
		columns := `,"columnDefinitions":` + string(marshal(l.of.kind.columns(l.shape)))
		typeMeta, start, c.each = metaTypeMeta("Table"), columns+`,"rows":[`, l.tableRows(c.appender)
	}
	c.buf = append(append(append(c.buf, typeMeta...), `"metadata":`...), marshal(l.ListMeta)...)
	c.buf = append(c.buf, start...)
	if err := l.writeObjects(c); err != nil {
		return err
	}
	c.buf = append(c.buf, "]}\n"...)
	return c.finish()
}

// writeObjects copies what is kept of how the objects are encoded.
func (l *list[T]) writeObjects(c *objectsWriter[T]) error {
	kept := l.of.encodings
	if kept == nil || l.blocks == nil || l.table != nil { // tables say how old rows are
		return c.add(l.objects)
	}
	read := kept.Read()
	for b := range l.blocks {
		if err := c.addBlock(b, read); err != nil {
			return err
		}
	}
	return nil
}

// objectsWriter writes objects with commas between them.
type objectsWriter[T object] struct {
	parts
	appender appender[T]
	each     func(buf []byte, object T) []byte // appends one
	some     bool                              // there are some
	next     []T
}

// add writes objects.
func (c *objectsWriter[T]) add(objects iter.Seq[T]) error {
	for object := range objects {
		if c.next = append(c.next, object); len(c.next) < ahead {
			continue
		}
		if err := c.addNext(); err != nil {
			return err
		}
	}
	return c.addNext()
}

func (c *objectsWriter[T]) addNext() error {
	c.appender.expect(c.next)
	for _, object := range c.next {
		c.separate()
		c.buf = c.each(c.buf, object)
		if err := c.pass(); err != nil {
			return err
		}
	}
	c.next = c.next[:0]
	return nil
}

func (c *objectsWriter[T]) separate() {
	if c.some {
		c.buf = append(c.buf, ',')
	}
	c.some = true
}

// addBlock writes the objects of a block.
func (c *objectsWriter[T]) addBlock(b block[T], read inventory.EncodingsReader) error {
	if b.leaf.IsZero() {
		return c.add(b.objects)
	}
	if encoded := read.Get(b.leaf); encoded != nil {
		c.separate()
		c.buf = append(c.buf, encoded...)
		return c.pass()
	}
	start, passes := len(c.buf), c.passes
	if c.some {
		start++ // after the comma
	}
	c.full = partSize + leafSize
	if err := c.add(b.objects); err != nil {
		return err
	}
	c.full = partSize
	if c.passes == passes {
		read.Put(b.leaf, c.buf[start:])
	}
	return c.pass()
}

// tableRows returns what appends the rows of a table.
func (l *list[T]) tableRows(a appender[T]) func([]byte, T) []byte {
	typeMeta, partial := l.of.kind.names().typeMeta(""), metaTypeMeta("PartialObjectMetadata")
	return func(buf []byte, object T) []byte {
		buf = append(a.cells(append(buf, `{"cells":`...), object, l.shape), `,"object":`...)
		switch l.table.IncludeObject {
		case metav1.IncludeObject:
			buf = a.object(buf, object, typeMeta)
		case metav1.IncludeNone:
			buf = append(buf, "null"...)
		default:
			buf = append(append(append(buf, '{'), partial...), `"metadata":`...)
			buf = append(a.metadata(buf, object), '}')
		}
		return append(buf, '}')
	}
}

// parts writes what is appended to it: when there is a part, a goroutine writes
// it, while more is appended.
type parts struct {
	w    io.Writer
	buf  []byte
	full int // how much is a part

	passes int // how many were passed

	passed []byte     // to the goroutine
	ended  chan error // gets how that ended; nil: there is none
}

// pass has what there is be written if it is a part, once what was before it is.
// What is no whole piece stays.
func (p *parts) pass() error {
	if len(p.buf) < p.full {
		return nil
	}
	if err := p.wait(); err != nil {
		return err
	}
	if p.passed == nil {
		p.passed = make([]byte, 0, cap(p.buf))
	}
	whole := len(p.buf) - len(p.buf)%pieceSize
	part, ended := p.buf[:whole], make(chan error, 1)
	p.buf, p.passed, p.ended = append(p.passed[:0], p.buf[whole:]...), part, ended
	p.passes++
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				ended <- fmt.Errorf("write: %v", reason)
			}
		}()
		ended <- p.write(part)
	}()
	return nil
}

// finish writes the rest.
func (p *parts) finish() error {
	if err := p.wait(); err != nil {
		return err
	}
	return p.write(p.buf)
}

// write writes a part piece by piece.
func (p *parts) write(part []byte) error {
	for piece := range slices.Chunk(part, pieceSize) {
		if _, err := p.w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until what was passed is written.
func (p *parts) wait() error {
	if p.ended == nil {
		return nil
	}
	err := <-p.ended
	p.ended = nil
	return err
}
