package inventory

import (
	"bytes"
	"sync"
)

// Encodings keeps what the leaves of a store's snapshots were encoded to, in one
// form, so that what is read again is copied instead. It takes at most the limit
// in bytes, and 64 for each leaf that was ever read, for as long as the leaf
// exists; it keeps no leaf from being forgotten.
//
// What is kept is what pays: a leaf's encoding is kept when the leaf is read for
// the second time. When there is no room, it takes that of those which were last
// read before the leaf was read for the first of the two times, and of no others.
// So neither a snapshot that is read once, nor one that does not fit, drives out
// what is read all the time, and what no snapshot has any more goes first.
//
// It is safe for concurrent use.
type Encodings struct {
	limit int

	mu     sync.Mutex // guards what follows, and all encodings
	reads  uint64     // how many began
	size   int
	newest encoding // the ring of those that are kept: next is the one that was last read
}

// encoding is what is known of a leaf.
type encoding struct {
	of *Encodings
	// used is the last read that came to the leaf, and before the one before it; 0
	// is none.
	used, before uint64
	encoded      []byte    // nil: it is not kept
	prev, next   *encoding // in the ring, if it is
}

// encodingSize is what an encoding takes besides its bytes.
const encodingSize = 64

// NewEncodings returns one that keeps up to limit bytes.
func NewEncodings(limit int) *Encodings {
	e := &Encodings{limit: limit}
	e.newest.prev, e.newest.next = &e.newest, &e.newest
	return e
}

// Size returns how many bytes are taken for what is kept.
func (e *Encodings) Size() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.size
}

// Read begins to read a snapshot.
func (e *Encodings) Read() EncodingsReader {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reads++
	return EncodingsReader{e, e.reads}
}

// EncodingsReader reads a snapshot once.
type EncodingsReader struct {
	of   *Encodings
	read uint64
}

// Get returns what the leaf was encoded to, which must not be changed, or nil.
// Then Put is to be told.
func (r EncodingsReader) Get(l Leaf) []byte {
	known := r.of.encodingOf(l.node)
	if known == nil {
		return nil
	}
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if known.used < r.read {
		known.before, known.used = known.used, r.read
	}
	if known.encoded != nil {
		known.unlink()
		r.of.link(known)
	}
	return known.encoded
}

// Put keeps a copy of what the leaf is encoded to, if that pays.
func (r EncodingsReader) Put(l Leaf, encoded []byte) {
	known := r.of.encodingOf(l.node)
	if known == nil || !r.of.wants(known, len(encoded)) {
		return
	}
	kept := bytes.Clone(encoded)
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	if known.encoded != nil || !r.of.makeRoom(known, cap(kept)+encodingSize) {
		return // by another
	}
	known.encoded = kept
	r.of.size += cap(kept) + encodingSize
	r.of.link(known)
}

// encodingOf returns what is known of a leaf, or nil if others know it.
func (e *Encodings) encodingOf(n *node) *encoding {
	known := n.encoding.Load()
	if known == nil {
		n.encoding.CompareAndSwap(nil, &encoding{of: e})
		known = n.encoding.Load()
	}
	if known.of != e {
		return nil
	}
	return known
}

// wants makes room for an encoding, and reports whether it is to be kept.
func (e *Encodings) wants(known *encoding, size int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return known.encoded == nil && known.before > 0 && e.makeRoom(known, size+encodingSize)
}

// makeRoom drops what was not read for longer than the leaf, and reports whether
// there is room for it.
func (e *Encodings) makeRoom(known *encoding, size int) bool {
	for e.size+size > e.limit {
		oldest := e.newest.prev
		if oldest == &e.newest || oldest.used >= known.before {
			return false
		}
		oldest.unlink()
		e.size -= cap(oldest.encoded) + encodingSize
		oldest.encoded = nil
	}
	return true
}

func (e *Encodings) link(known *encoding) {
	known.prev, known.next = &e.newest, e.newest.next
	known.next.prev, e.newest.next = known, known
}

func (n *encoding) unlink() {
	n.prev.next, n.next.prev = n.next, n.prev
	n.prev, n.next = nil, nil
}
