package object

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// inMemory is how many bytes a spool keeps before it goes to a file.
const inMemory = 8 << 20

// spool holds bytes to be read again: few in memory, many in a temporary file.
type spool struct {
	buf  bytes.Buffer
	file *os.File
	size int64
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.buf.Len()+len(p) > inMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	var n int
	var err error
	if s.file != nil {
		if n, err = s.file.Write(p); err != nil {
			err = fmt.Errorf("write a temporary file: %w", err)
		}
	} else {
		n, err = s.buf.Write(p)
	}
	s.size += int64(n)
	return n, err
}

func (s *spool) toFile() error {
	file, err := os.CreateTemp("", "kollect-*.pack")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	s.file = file
	if _, err := file.Write(s.buf.Bytes()); err != nil {
		return fmt.Errorf("write a temporary file: %w", err)
	}
	s.buf = bytes.Buffer{}
	return nil
}

// ReadAt reads what was written.
func (s *spool) ReadAt(p []byte, at int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, at)
	}
	return bytes.NewReader(s.buf.Bytes()).ReadAt(p, at)
}

func (s *spool) reader() io.Reader { return io.NewSectionReader(s, 0, s.size) }

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.file = nil
	}
}
