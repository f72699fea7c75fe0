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
	room share // of temporary files
	size int64
}

func newSpool(space *Space) spool { return spool{room: share{of: &space.files, none: ErrNoTemp}} }

func (s *spool) Write(p []byte) (n int, err error) {
	if s.file == nil && s.buf.Len()+len(p) > inMemory {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	if s.file != nil {
		n, err = s.toTemp(p)
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
	// Without a name it goes with this process, however that ends. Where a file that is
	// open keeps its name, closing the spool takes it away.
	_ = os.Remove(file.Name())
	s.file = file
	_, err = s.toTemp(s.buf.Bytes())
	s.buf = bytes.Buffer{}
	return err
}

// toTemp appends to the file.
func (s *spool) toTemp(p []byte) (int, error) {
	if err := s.room.take(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := s.file.Write(p)
	if err != nil {
		return n, fmt.Errorf("write a temporary file: %w", err)
	}
	return n, nil
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
		_ = os.Remove(s.file.Name()) // it has none any more, but for systems that keep it
		s.file = nil
	}
	s.room.free()
}
