package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
)

// Ref names an inventory; Namespace is empty for a cluster inventory.
type Ref struct {
	Namespace, Name string
}

func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// position orders inventories as the keys of their rows are ordered, which is
// by namespace/inventory.digest. Cluster inventories come first.
func (r Ref) position() string { return r.Namespace + "/" + r.Name + "." }

// Key names a row of one inventory everywhere: in the API, in events and in
// exports. It is 128 bits of SHA-256 over the cluster, the inventory and the
// row's identity. Keys order the rows of an inventory.
type Key [16]byte

// keyEncoding keeps the order of keys and needs no escapes in names.
var keyEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// KeyLength is the length of a key's text.
const KeyLength = 26

// String returns 26 lower-case letters and digits, ordered as the keys are.
func (k Key) String() string { return keyEncoding.EncodeToString(k[:]) }

// AppendText appends what String returns.
func (k Key) AppendText(buf []byte) ([]byte, error) { return keyEncoding.AppendEncode(buf, k[:]), nil }

// ParseKey reads what String returns.
func ParseKey(s string) (Key, bool) {
	if len(s) != KeyLength {
		return Key{}, false
	}
	raw, err := keyEncoding.DecodeString(s)
	if err != nil || len(raw) != len(Key{}) {
		return Key{}, false
	}
	k := Key(raw)
	return k, k.String() == s
}

// Compare orders keys by their bytes.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }

// digit returns the i-th digit from the left, of digitBits bits.
func (k Key) digit(i int) int {
	const perByte = 8 / digitBits
	return int(k[i/perByte]>>(8-digitBits-i%perByte*digitBits)) & (fanout - 1)
}

// Dedupe says when rows of several targets collapse into one (ADR-0305).
type Dedupe bool

const (
	// KeepAll keeps a row for each target and UID.
	KeepAll Dedupe = false
	// ByResourceUID keeps a row for each namespace and UID: that of the target
	// which is last in row order, so that the order of arrival does not matter.
	ByResourceUID Dedupe = true
)

// keyer makes the keys of one inventory.
type keyer struct {
	prefix []byte
	dedupe Dedupe
}

func newKeyer(cluster string, ref Ref, dedupe Dedupe) keyer {
	prefix := appendPart(nil, cluster)
	prefix = appendPart(prefix, ref.Namespace)
	prefix = appendPart(prefix, ref.Name)
	return keyer{prefix: prefix, dedupe: dedupe}
}

// key covers the identity that the dedupe mode leaves to a row.
func (k keyer) key(r *Row) Key {
	buf := append(make([]byte, 0, 256), k.prefix...)
	if k.dedupe == KeepAll {
		buf = appendPart(buf, r.target.Namespace)
		buf = appendPart(buf, r.target.Name)
		buf = appendPart(buf, r.namespace)
		buf = appendPart(buf, r.Name())
	} else {
		buf = appendPart(buf, r.namespace)
	}
	buf = appendPart(buf, r.UID())
	sum := sha256.Sum256(buf)
	return Key(sum[:16])
}
