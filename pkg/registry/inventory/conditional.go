package inventory

import (
	"context"
	stderrors "errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// matches reports whether a header of entity tags, as they may come in several
// fields, has etag, or is *. Weak tags match nothing (RFC 9110, 8.8.3.2).
func matches(header []string, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(header, ","), ",") { // ours have no comma
		if tag = strings.TrimSpace(tag); tag == etag || tag == "*" {
			return true
		}
	}
	return false
}

// weak returns a header of entity tags with all of them strong, for a comparison
// that tells no difference.
func weak(header []string) []string {
	tags := strings.Split(strings.Join(header, ","), ",")
	for i, tag := range tags {
		tags[i] = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
	}
	return tags
}

// extent is a part of a file: the bytes from, and up to, an offset.
type extent struct{ from, to int64 }

func (s extent) empty() bool { return s.from >= s.to }

// parseRange reads a Range header for one part of a file of the given size (RFC
// 9110, 14.1.2). The part is empty if the file has none of it. A header that is
// malformed, or wants several parts, is not ok and to be ignored.
func parseRange(header string, size int64) (part extent, ok bool) {
	unit, set, _ := strings.Cut(header, "=")
	first, last, isRange := strings.Cut(strings.TrimSpace(set), "-")
	if unit != "bytes" || !isRange {
		return extent{}, false
	}
	part.to = size
	if first == "" {
		suffix, ok := parseOffset(last)
		part.from = max(0, size-suffix)
		return part, ok
	}
	if part.from, ok = parseOffset(first); !ok || last == "" {
		return part, ok
	}
	end, ok := parseOffset(last)
	if !ok || end < part.from {
		return extent{}, false
	}
	if end < size {
		part.to = end + 1
	}
	return part, true
}

// parseOffset reads digits alone.
func parseOffset(text string) (int64, bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// errEnough ends an encoding of which the rest is not wanted.
var errEnough = stderrors.New("the rest is not wanted")

// section passes on a part of what is written, until the context ends.
type section struct {
	ctx context.Context
	w   io.Writer
	extent
	at  int64 // how much was written
	err error // what ended the writing
}

func (s *section) Write(p []byte) (int, error) {
	if s.err = s.ctx.Err(); s.err != nil {
		return 0, s.err
	}
	low, high := max(0, s.from-s.at), min(int64(len(p)), s.to-s.at)
	if low < high {
		if _, s.err = s.w.Write(p[low:high]); s.err != nil {
			return 0, s.err
		}
	}
	if s.at += int64(len(p)); s.at > s.to {
		s.err = errEnough
		return 0, s.err
	}
	return len(p), nil
}

// sizes remembers how long the newest files were, so that a part of one, or one
// again, is not counted anew. It is safe for concurrent use.
type sizes struct {
	mu    sync.Mutex
	of    map[string]int64
	order []string
}

// rememberedSizes bounds how many are remembered.
const rememberedSizes = 256

func (s *sizes) get(key string) (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.of[key]
	return size, ok
}

func (s *sizes) set(key string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int64{}
	}
	if _, ok := s.of[key]; !ok {
		if len(s.order) == rememberedSizes {
			delete(s.of, s.order[0])
			s.order = slices.Delete(s.order, 0, 1)
		}
		s.order = append(s.order, key)
	}
	s.of[key] = size
}
