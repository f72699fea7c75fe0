package object

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zlib"
)

// Pack gathers objects to be sent. What is large is in a temporary file, so that
// memory does not grow with it. It is not safe for concurrent use.
type Pack struct {
	body   spool
	out    *bufio.Writer
	packer *zlib.Writer
	count  uint32
}

// NewPack returns an empty pack, which its owner closes.
func NewPack(space *Space) *Pack {
	p := &Pack{body: newSpool(space)}
	p.out = bufio.NewWriterSize(&p.body, 64<<10)
	// The server packs again when it likes; small files gain little from more.
	p.packer, _ = zlib.NewWriterLevel(p.out, zlib.BestSpeed)
	return p
}

// Close frees what the pack holds.
func (p *Pack) Close() { p.body.close() }

// Add adds an object and returns its ID.
func (p *Pack) Add(t Type, content []byte) (ID, error) {
	id := Sum(t, content)
	return id, p.AddAs(t, content)
}

// AddAs adds an object whose ID is known.
func (p *Pack) AddAs(t Type, content []byte) error {
	if err := p.begin(t, int64(len(content))); err != nil {
		return err
	}
	if _, err := p.packer.Write(content); err != nil {
		return err
	}
	return p.packer.Close()
}

// AddStream adds an object of that size, which write writes.
func (p *Pack) AddStream(t Type, size int64, write func(io.Writer) error) (ID, error) {
	if err := p.begin(t, size); err != nil {
		return ID{}, err
	}
	h := newHash(t, size)
	counted := &counting{w: io.MultiWriter(h, p.packer)}
	if err := write(counted); err != nil {
		return ID{}, err
	}
	if counted.n != size {
		return ID{}, fmt.Errorf("%d bytes were written of an object of %d", counted.n, size)
	}
	return ID(h.Sum(nil)), p.packer.Close()
}

// begin writes the head of an object.
func (p *Pack) begin(t Type, size int64) error {
	head := make([]byte, 0, 32)
	b := byte(t)<<4 | byte(size&15)
	for size >>= 4; size > 0; size >>= 7 {
		head = append(head, b|0x80)
		b = byte(size & 0x7f)
	}
	if _, err := p.out.Write(append(head, b)); err != nil {
		return err
	}
	p.count++
	p.packer.Reset(p.out)
	return nil
}

// Join returns one pack of the objects of all, and its size. It can be read while
// nothing is added to them.
func Join(packs ...*Pack) (io.Reader, int64, error) {
	head := binary.BigEndian.AppendUint32([]byte("PACK"), 2)
	var count uint32
	size := int64(len(head) + 4 + sha1.Size)
	j := &joined{hash: sha1.New()}
	for _, p := range packs {
		if err := p.out.Flush(); err != nil {
			return nil, 0, err
		}
		count += p.count
		size += p.body.size
		j.parts = append(j.parts, p.body.reader())
	}
	j.parts = append([]io.Reader{bytes.NewReader(binary.BigEndian.AppendUint32(head, count))}, j.parts...)
	return j, size, nil
}

// joined is parts, and the hash of them at the end.
type joined struct {
	parts []io.Reader
	hash  hash.Hash
	done  bool
}

func (j *joined) Read(buf []byte) (int, error) {
	for len(j.parts) > 0 {
		n, err := j.parts[0].Read(buf)
		if err == io.EOF {
			j.parts = j.parts[1:]
			err = nil
		}
		if !j.done {
			j.hash.Write(buf[:n])
		}
		if len(j.parts) == 0 && !j.done {
			j.done = true
			j.parts = []io.Reader{bytes.NewReader(j.hash.Sum(nil))}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// counting counts the bytes that are written through it.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
