// Package object makes and reads the objects of Git, and the packs that they
// travel in, of repositories with SHA-1. It knows no repository and no network.
// What it reads is a server's, and may be anything: sizes are bounded, and what is
// wrong is an error.
//
// Its invariant: an object is known by the hash of what it holds, and one that was
// read has the ID that it is found under.
package object

import (
	"crypto/sha1"
	"encoding/hex"
	"hash"
	"strconv"
)

// ID is the hash of an object. The zero ID is that of none.
type ID [sha1.Size]byte

// ParseID reads what ID.String returns.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

// IsZero reports whether it is that of no object.
func (id ID) IsZero() bool { return id == ID{} }

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Type of an object, as packs number them.
type Type uint8

// The types.
const (
	Commit Type = 1
	Tree   Type = 2
	Blob   Type = 3
	Tag    Type = 4

	offsetDelta Type = 6
	refDelta    Type = 7
)

func (t Type) String() string {
	return [...]string{1: "commit", 2: "tree", 3: "blob", 4: "tag", 5: "", 6: "", 7: ""}[t&7]
}

// Sum returns the ID of the object.
func Sum(t Type, content []byte) ID {
	h := newHash(t, int64(len(content)))
	h.Write(content)
	return ID(h.Sum(nil))
}

// newHash has the head of an object that is about to be written to it.
func newHash(t Type, size int64) hash.Hash {
	var head [32]byte
	buf := append(append(head[:0], t.String()...), ' ')
	h := sha1.New()
	h.Write(append(strconv.AppendInt(buf, size, 10), 0))
	return h
}
