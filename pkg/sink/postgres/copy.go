package postgres

import (
	"io"
	"iter"
	"strings"
	"sync"
	"unicode/utf8"

	"kollect.io/kollect/pkg/inventory"
)

// lines are updates in the text format of COPY, read as they are made.
type lines struct {
	common   []byte // starts each line
	promoted []inventory.Column

	mu      sync.Mutex // guards what follows: when a connection fails, whoever reads goes on for a while
	next    func() (inventory.Update, bool)
	stop    func()
	stopped bool
	buf     []byte
	read    int // of buf
	upserts int64
}

func newLines(common []byte, promoted []inventory.Column, updates iter.Seq[inventory.Update]) *lines {
	l := &lines{common: common, promoted: promoted}
	l.next, l.stop = iter.Pull(updates)
	return l
}

// end returns how many rows were read. No more are from here on.
func (l *lines) end() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.stop()
	return l.upserts
}

const chunk = 64 << 10

func (l *lines) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return 0, errStopped
	}
	if l.read == len(l.buf) {
		l.buf, l.read = l.buf[:0], 0
		for len(l.buf) < chunk {
			u, ok := l.next()
			if !ok {
				break
			}
			if u.Row != nil {
				l.upserts++
			} else if l.common != nil {
				continue // of a table without rows
			}
			l.buf = appendLine(append(l.buf, l.common...), u, l.promoted)
		}
		if len(l.buf) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, l.buf[l.read:])
	l.read += n
	return n, nil
}

// appendText appends a value for COPY.
func appendText(buf []byte, value string) []byte {
	value = clean(value)
	for {
		i := strings.IndexAny(value, "\\\t\n\r")
		if i < 0 {
			return append(buf, value...)
		}
		buf = append(append(buf, value[:i]...), '\\')
		switch value[i] {
		case '\t':
			buf = append(buf, 't')
		case '\n':
			buf = append(buf, 'n')
		case '\r':
			buf = append(buf, 'r')
		default:
			buf = append(buf, value[i])
		}
		value = value[i+1:]
	}
}

// replacement stands for what a PostgreSQL string can't have.
const replacement = "\ufffd"

// clean replaces NUL, and what is not UTF-8.
func clean(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", replacement)
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, replacement)
	}
	return s
}

const escapedNUL = `\u0000`

// cleanJSON replaces what stands for NUL in a JSON text, which jsonb refuses.
func cleanJSON(text string) string {
	if !strings.Contains(text, escapedNUL) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case text[i] != '\\':
			b.WriteByte(text[i])
			i++
		case strings.HasPrefix(text[i:], escapedNUL):
			b.WriteString(replacement)
			i += len(escapedNUL)
		default: // the escaped character starts no escape itself
			end := min(i+2, len(text))
			b.WriteString(text[i:end])
			i = end
		}
	}
	return b.String()
}
