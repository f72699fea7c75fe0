package object

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Space bounds what packs take of this machine: all those that share it, together. One
// pack takes half of it at most, so that one server's does not stop all others. It is
// safe for concurrent use.
type Space struct{ files, memory room }

// DefaultTempSize is enough for two packs of 1.5 million files of usual size each, which
// have some 350 bytes there.
const DefaultTempSize = 1 << 30

// maxMemory is for what is read of packs, while it is read. 100,000 files take 17 MiB of
// it, or 5 MiB where the server sends the trees without the files.
const maxMemory = 256 << 20

// NewSpace returns one with that many bytes of temporary files.
func NewSpace(files int64) *Space { return newSpace(files, maxMemory) }

func newSpace(files, memory int64) *Space {
	return &Space{files: room{size: files}, memory: room{size: memory}}
}

var (
	// ErrNoTemp says that a pack does not fit into the temporary files, now or ever.
	ErrNoTemp = errors.New("there is no room in temporary files")
	// ErrNoMemory says that what a pack holds does not fit into memory, now or ever.
	ErrNoMemory = errors.New("there is no room in memory")
)

// room is so many bytes, of which some are taken.
type room struct {
	size  int64
	taken atomic.Int64
}

// share is what one pack takes of a room. It is not safe for concurrent use.
type share struct {
	of    *room
	none  error // that there is no room
	taken int64
}

func (s *share) take(n int64) error {
	if most := s.of.size / 2; n > most-s.taken {
		return fmt.Errorf("%w for a pack of more than %d bytes", s.none, most)
	}
	if s.of.taken.Add(n) > s.of.size {
		s.of.taken.Add(-n)
		return fmt.Errorf("%w: all packs together have %d bytes", s.none, s.of.size)
	}
	s.taken += n
	return nil
}

func (s *share) give(n int64) {
	s.taken -= n
	s.of.taken.Add(-n)
}

func (s *share) free() { s.give(s.taken) }
