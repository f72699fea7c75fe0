package inventory

import (
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// partSize is from what size on a part of a list is written, while the next
	// is made. Large parts keep the goroutines, and the client, from waiting for
	// one another at every frame.
	partSize = 256 << 10
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
	c := &parts{w: w, buf: make([]byte, 0, 16<<10)}
	defer func() { _ = c.wait() }() // nobody may write once this has returned, be it by a panic
	a := l.of.kind.appender()
	if l.table != nil {
		c.buf = append(c.buf, metaTypeMeta("Table")...)
		columns := `,"columnDefinitions":` + string(marshal(l.of.kind.columns(l.shape)))
		return l.write(c, a, columns+`,"rows":[`, l.tableRows(a))
	}
	c.buf = append(c.buf, l.of.kind.names().typeMeta("List")...)
	return l.write(c, a, `,"items":[`, func(buf []byte, object T) []byte { return a.object(buf, object, "") })
}

// write writes the rest of the list: its metadata, and its objects after start.
func (l *list[T]) write(c *parts, a appender[T], start string, each func([]byte, T) []byte) error {
	c.buf = append(append(append(c.buf, `"metadata":`...), marshal(l.ListMeta)...), start...)
	next, first := make([]T, 0, ahead), true
	take := func() error {
		a.expect(next)
		for _, object := range next {
			if !first {
				c.buf = append(c.buf, ',')
			}
			first = false
			c.buf = each(c.buf, object)
			if err := c.pass(); err != nil {
				return err
			}
		}
		next = next[:0]
		return nil
	}
	for object := range l.objects {
		if next = append(next, object); len(next) < ahead {
			continue
		}
		if err := take(); err != nil {
			return err
		}
	}
	if err := take(); err != nil {
		return err
	}
	c.buf = append(c.buf, "]}\n"...)
	return c.finish()
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
	w   io.Writer
	buf []byte

	passed []byte     // to the goroutine
	ended  chan error // gets how that ended; nil: there is none
}

// pass has what there is be written if it is a part, once what was before it is.
func (p *parts) pass() error {
	if len(p.buf) < partSize {
		return nil
	}
	if err := p.wait(); err != nil {
		return err
	}
	if p.passed == nil {
		p.passed = make([]byte, 0, cap(p.buf))
	}
	part, ended := p.buf, make(chan error, 1)
	p.buf, p.passed, p.ended = p.passed[:0], part, ended
	go func() {
		defer func() {
			if reason := recover(); reason != nil {
				ended <- fmt.Errorf("write: %v", reason)
			}
		}()
		_, err := p.w.Write(part)
		ended <- err
	}()
	return nil
}

// finish writes the rest.
func (p *parts) finish() error {
	if err := p.wait(); err != nil {
		return err
	}
	_, err := p.w.Write(p.buf)
	return err
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
