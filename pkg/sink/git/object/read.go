package object

import (
	"bufio"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Selection is what is kept of a pack: all commits and trees, and the blobs of Blob
// bytes at most of which Wants, unless it is nil, says so.
type Selection struct {
	Blob  int64
	Wants func(blob []byte) bool
}

var errPack = errors.New("it is not a pack")

// ReadPack returns the objects of a pack that are to be kept, by ID. One that is a
// delta of what is not in the pack is left out. What does not fit into the space is
// ErrNoTemp or ErrNoMemory.
func ReadPack(ctx context.Context, r io.Reader, space *Space, selection Selection) (map[ID][]byte, error) {
	p := &packReader{
		selection: selection, spool: newSpool(space), memory: share{of: &space.memory, none: ErrNoMemory},
		kept: map[ID][]byte{}, types: map[ID]Type{}, found: map[int64]*packed{},
	}
	defer p.spool.close()
	defer p.memory.free()
	if _, err := io.Copy(&p.spool, r); err != nil {
		return nil, err
	}
	if err := p.index(ctx); err != nil {
		return nil, err
	}
	return p.kept, p.resolve(ctx)
}

// packed is an object in a pack.
type packed struct {
	at   int64 // of its content, compressed
	t    Type
	size int64
	base int64 // of offsetDelta: where it is
	ref  ID    // of refDelta

	content []byte // once it is known
}

// What an object costs beside its content: one that was found, and once more if it is
// kept.
const perObject = 128

type packReader struct {
	selection Selection
	spool     spool
	memory    share
	found     map[int64]*packed // by where it starts
	deltas    []*packed
	kept      map[ID][]byte
	types     map[ID]Type // of what is kept
}

// index finds all objects, and keeps those that are whole.
func (p *packReader) index(ctx context.Context) error {
	if err := p.verify(); err != nil {
		return err
	}
	in := &positioned{r: bufio.NewReaderSize(p.spool.reader(), 64<<10)}
	head := make([]byte, 12)
	if _, err := io.ReadFull(in, head); err != nil || string(head[:4]) != "PACK" || binary.BigEndian.Uint32(head[4:]) != 2 {
		return errPack
	}
	var inflate io.ReadCloser
	for range binary.BigEndian.Uint32(head[8:]) {
		start := in.at
		o, err := readHead(in, start)
		if err == nil {
			err = p.memory.take(perObject)
		}
		if err != nil {
			return err
		}
		if inflate, err = reset(inflate, in); err != nil {
			return fmt.Errorf("%w: %w", errPack, err)
		}
		if err := p.take(ctx, o, inflate); err != nil {
			return err
		}
		p.found[start] = o
	}
	return nil
}

// verify compares the hash at the end with what comes before.
func (p *packReader) verify() error {
	end := p.spool.size - sha1.Size
	if end < 0 {
		return errPack
	}
	var want [sha1.Size]byte
	if _, err := p.spool.ReadAt(want[:], end); err != nil && err != io.EOF {
		return err
	}
	h := sha1.New()
	if _, err := io.Copy(h, io.NewSectionReader(&p.spool, 0, end)); err != nil {
		return err
	}
	if ID(h.Sum(nil)) != want {
		return fmt.Errorf("%w: its hash is another", errPack)
	}
	return nil
}

// take reads an object to its end, and keeps it if it is whole and wanted.
func (p *packReader) take(ctx context.Context, o *packed, content io.Reader) error {
	if o.t == offsetDelta || o.t == refDelta {
		p.deltas = append(p.deltas, o)
	}
	if !p.wanted(o.t, o.size) {
		return skip(ctx, content, o.size)
	}
	data, err := p.read(o, content)
	if err != nil {
		return err
	}
	return p.keep(o, o.t, data)
}

func (p *packReader) wanted(t Type, size int64) bool {
	return t == Commit || t == Tree || t == Blob && size <= p.selection.Blob
}

// read reads all of the content, and takes memory for it.
func (p *packReader) read(o *packed, content io.Reader) ([]byte, error) {
	if err := p.memory.take(o.size); err != nil {
		return nil, err
	}
	data := make([]byte, o.size)
	if _, err := io.ReadFull(content, data); err != nil {
		return nil, fmt.Errorf("%w: read an object: %w", errPack, err)
	}
	return data, ended(content)
}

// skip reads so many bytes to the end: a pack that is small may be long to inflate.
func skip(ctx context.Context, content io.Reader, size int64) error {
	for size > 0 {
		n, err := io.CopyN(io.Discard, content, min(size, 16<<20))
		if size -= n; err != nil {
			return fmt.Errorf("%w: read an object: %w", errPack, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ended(content)
}

// ended returns an error unless the content is at its end, and is what its checksum says.
func ended(content io.Reader) error {
	var more [1]byte
	switch _, err := io.ReadFull(content, more[:]); {
	case err == nil:
		return fmt.Errorf("%w: an object is longer than it says", errPack)
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("%w: read an object: %w", errPack, err)
	}
	return nil
}

// keep keeps the object, unless it is a blob that nobody wants: then it gives its memory
// back.
func (p *packReader) keep(o *packed, t Type, data []byte) error {
	if t == Blob && p.selection.Wants != nil && !p.selection.Wants(data) {
		p.memory.give(int64(len(data)))
		return nil
	}
	if err := p.memory.take(perObject); err != nil {
		return err
	}
	o.content = data
	id := Sum(t, data)
	p.kept[id], p.types[id] = data, t
	return nil
}

// readHead reads what comes before an object's content.
func readHead(in *positioned, start int64) (*packed, error) {
	b, err := in.ReadByte()
	if err != nil {
		return nil, errPack
	}
	o := &packed{t: Type(b >> 4 & 7), size: int64(b & 15)}
	for shift := 4; b&0x80 != 0; shift += 7 {
		if b, err = in.ReadByte(); err != nil || shift > 46 {
			return nil, errPack
		}
		o.size |= int64(b&0x7f) << shift
	}
	switch o.t {
	case Commit, Tree, Blob, Tag:
	case offsetDelta:
		back, err := readOffset(in)
		if err != nil || back <= 0 || back > start {
			return nil, errPack
		}
		o.base = start - back
	case refDelta:
		if _, err := io.ReadFull(in, o.ref[:]); err != nil {
			return nil, errPack
		}
	default:
		return nil, errPack
	}
	o.at = in.at
	return o, nil
}

// readOffset reads a number as deltas have it for how far back their base is.
func readOffset(in *positioned) (int64, error) {
	b, err := in.ReadByte()
	n := int64(b & 0x7f)
	for err == nil && b&0x80 != 0 {
		if n > 1<<48 {
			return 0, errPack
		}
		b, err = in.ReadByte()
		n = (n+1)<<7 | int64(b&0x7f)
	}
	return n, err
}

// reset makes inflate, or a new one, read from in.
func reset(inflate io.ReadCloser, in io.Reader) (io.ReadCloser, error) {
	if inflate == nil {
		return zlib.NewReader(in)
	}
	return inflate, inflate.(zlib.Resetter).Reset(in, nil)
}

// positioned knows where it is. Whoever reads byte by byte reads no further than
// asked.
type positioned struct {
	r  *bufio.Reader
	at int64
}

func (p *positioned) Read(buf []byte) (int, error) {
	n, err := p.r.Read(buf)
	p.at += int64(n)
	return n, err
}

func (p *positioned) ReadByte() (byte, error) {
	b, err := p.r.ReadByte()
	if err == nil {
		p.at++
	}
	return b, err
}
