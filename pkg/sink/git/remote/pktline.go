package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The lines without content that Git's protocol has.
const (
	flushLine     = "0000"
	delimiterLine = "0001"
)

// maxLine is how long a line can be.
const maxLine = 65520

// appendLine appends a line of the protocol, with a newline.
func appendLine(buf []byte, format string, args ...any) []byte {
	line := fmt.Sprintf(format, args...)
	return fmt.Appendf(buf, "%04x%s\n", len(line)+5, line)
}

// lines reads lines of the protocol.
type lines struct {
	r   *bufio.Reader
	buf []byte
	// left bounds how many bytes may be read still.
	left int64
}

// maxText bounds what a server may say that is not a pack.
const maxText = 64 << 20

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, maxLine), left: maxText}
}

// kind of line.
type kind int

const (
	data kind = iota
	flush
	delimiter
	responseEnd
)

var (
	errNoGit = errors.New("the server does not speak Git's protocol here")
	errCut   = errors.New("the server ended the connection midway")
)

// next returns a line, which is good until the next call.
func (l *lines) next() ([]byte, kind, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return nil, 0, cut(err)
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	switch {
	case err != nil || n == 3 || n > maxLine:
		return nil, 0, errNoGit
	case n < 3:
		return nil, []kind{flush, delimiter, responseEnd}[n], nil
	}
	if l.left -= int64(n); l.left < 0 {
		return nil, 0, errors.New("the server says more than is allowed")
	}
	if cap(l.buf) < maxLine {
		l.buf = make([]byte, maxLine)
	}
	line := l.buf[:n-4]
	if _, err := io.ReadFull(l.r, line); err != nil {
		return nil, 0, cut(err)
	}
	return line, data, nil
}

// text returns a line without its newline. Not ok: it was a line without content. A
// line that is an error is one.
func (l *lines) text() (text string, ok bool, err error) {
	line, k, err := l.next()
	if err != nil || k != data {
		return "", false, err
	}
	text = strings.TrimSuffix(string(line), "\n")
	if message, ok := strings.CutPrefix(text, "ERR "); ok {
		return "", false, serverError(message)
	}
	return text, true, nil
}

// skipTo reads up to that line, past what the server says of shallow commits before.
func (l *lines) skipTo(wanted string) error {
	for {
		line, ok, err := l.text()
		if err != nil || ok && line == wanted {
			return err
		}
	}
}

// cut says what an end means where there should be more.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// sideband is the data in lines that carry messages too.
type sideband struct {
	lines *lines
	// raw: there are no messages, and what comes is the data.
	raw      bool
	messages *messages
	rest     []byte
	done     bool
}

func (s *sideband) Read(p []byte) (int, error) {
	if s.raw {
		return s.lines.r.Read(p)
	}
	for len(s.rest) == 0 {
		if s.done {
			return 0, io.EOF
		}
		line, k, err := s.lines.next()
		if err != nil {
			return 0, err
		}
		if k != data {
			s.done = true
			continue
		}
		if len(line) == 0 {
			return 0, errNoGit
		}
		s.lines.left += int64(len(line)) // who reads a pack bounds it
		switch line[0] {
		case 1:
			s.rest = line[1:]
		case 2:
			s.messages.add(string(line[1:]))
		case 3:
			return 0, serverError(strings.TrimSpace(string(line[1:])))
		default:
			return 0, errNoGit
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// messages are what a server has to say to people, up to a length.
type messages struct{ text strings.Builder }

func (m *messages) add(text string) {
	const most = 2 << 10
	if room := most - m.text.Len(); room > 0 {
		m.text.WriteString(text[:min(room, len(text))])
	}
}

func (m *messages) String() string { return strings.Join(strings.Fields(m.text.String()), " ") }
