package inventory

import (
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// bufferSize is how much of a list is written at a time: what makes one record
	// of TLS together with the header of an HTTP/2 frame, and so one system call
	// where other sizes make two.
	bufferSize = 16<<10 - 9
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
	c := &chunks{w: w, buf: make([]byte, 0, bufferSize+bufferSize/4)}
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
func (l *list[T]) write(c *chunks, a appender[T], start string, each func([]byte, T) []byte) error {
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
			if err := c.flush(bufferSize); err != nil {
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
	return c.flush(1)
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

// chunks writes what is appended to it.
type chunks struct {
	w   io.Writer
	buf []byte
}

// flush writes what is there, if that is so much. It writes as much as is
// written at a time, and leaves less, which it writes if less was asked for.
func (c *chunks) flush(least int) error {
	for len(c.buf) >= least {
		n := min(len(c.buf), bufferSize)
		if _, err := c.w.Write(c.buf[:n]); err != nil {
			return err
		}
		c.buf = append(c.buf[:0], c.buf[n:]...)
	}
	return nil
}
