package object

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
)

// resolve keeps what is wanted of the objects that are deltas.
func (p *packReader) resolve(ctx context.Context) error {
	for left := p.deltas; ; {
		var waiting []*packed // for one that another delta may make
		for _, o := range left {
			if err := ctx.Err(); err != nil {
				return err
			}
			t, ok := p.typeOf(o)
			if !ok {
				waiting = append(waiting, o)
				continue
			}
			if err := p.resolveOne(o, t); err != nil {
				return err
			}
		}
		if len(waiting) == 0 || len(waiting) == len(left) {
			return nil
		}
		left = waiting
	}
}

// typeOf follows the bases of a delta to what is whole. Not ok: it is not here.
func (p *packReader) typeOf(o *packed) (Type, bool) {
	for o.t == offsetDelta { // a base is further to the front: this ends
		base, ok := p.found[o.base]
		if !ok {
			return 0, false
		}
		o = base
	}
	if o.t != refDelta {
		return o.t, true
	}
	t, ok := p.types[o.ref]
	return t, ok
}

func (p *packReader) resolveOne(o *packed, t Type) error {
	if o.content != nil {
		return nil
	}
	size, err := p.sizeOf(o)
	if err != nil {
		return err
	}
	if !p.wanted(t, size) {
		return nil
	}
	data, err := p.content(o)
	if err != nil {
		return err
	}
	return p.keep(o, t, data)
}

// content returns what an object is, with the deltas on the way to it applied, and takes
// memory for that, unless the object is kept already.
func (p *packReader) content(o *packed) ([]byte, error) {
	var chain []*packed
	for o.content == nil && o.t == offsetDelta {
		chain = append(chain, o)
		base, ok := p.found[o.base]
		if !ok {
			return nil, errPack
		}
		o = base
	}
	data := o.content
	var used int64 // of memory, for data
	var err error
	switch {
	case data != nil:
	case o.t == refDelta:
		chain = append(chain, o)
		data = p.kept[o.ref]
	default:
		if data, err = p.inflate(o); err != nil {
			return nil, err
		}
		used = o.size
	}
	for i := len(chain) - 1; i >= 0; i-- {
		delta, err := p.inflate(chain[i])
		if err != nil {
			return nil, err
		}
		made, err := p.apply(data, delta)
		if err != nil {
			return nil, err
		}
		p.memory.give(int64(len(delta)) + used)
		data, used = made, int64(len(made))
	}
	return data, nil
}

// apply returns what the delta makes of base, and takes memory for it.
func (p *packReader) apply(base, delta []byte) ([]byte, error) {
	size, err := resultSize(delta)
	if err == nil {
		err = p.memory.take(size)
	}
	if err != nil {
		return nil, err
	}
	return applyDelta(base, delta)
}

func (p *packReader) inflate(o *packed) ([]byte, error) {
	content, err := p.open(o)
	if err != nil {
		return nil, err
	}
	return p.read(o, content)
}

func (p *packReader) open(o *packed) (io.ReadCloser, error) {
	return reset(nil, bufio.NewReader(io.NewSectionReader(&p.spool, o.at, p.spool.size-o.at)))
}

// sizeOf returns how large what a delta makes is, from its start alone.
func (p *packReader) sizeOf(o *packed) (int64, error) {
	content, err := p.open(o)
	if err != nil {
		return 0, err
	}
	defer content.Close()
	head := make([]byte, min(o.size, 20))
	if _, err := io.ReadFull(content, head); err != nil {
		return 0, errDelta
	}
	return resultSize(head)
}

// resultSize returns how large what a delta makes is.
func resultSize(delta []byte) (int64, error) {
	_, n := binary.Uvarint(delta)
	if n <= 0 {
		return 0, errDelta
	}
	size, n := binary.Uvarint(delta[n:])
	if n <= 0 || size > 1<<48 {
		return 0, errDelta
	}
	return int64(size), nil
}

var errDelta = errors.New("it has a delta that is not one")

// applyDelta returns what the delta makes of base. Whoever calls it has bounded its size.
func applyDelta(base, delta []byte) ([]byte, error) {
	from, n := binary.Uvarint(delta)
	if n <= 0 || from != uint64(len(base)) {
		return nil, errDelta
	}
	delta = delta[n:]
	size, n := binary.Uvarint(delta)
	if n <= 0 {
		return nil, errDelta
	}
	delta = delta[n:]
	result := make([]byte, 0, size)
	for len(delta) > 0 {
		op := delta[0]
		delta = delta[1:]
		var part []byte
		switch {
		case op&0x80 != 0:
			var offset, length uint32
			offset, length, delta = copyOp(op, delta)
			if delta == nil || uint64(offset)+uint64(length) > uint64(len(base)) {
				return nil, errDelta
			}
			part = base[offset : offset+length]
		case op == 0 || int(op) > len(delta):
			return nil, errDelta
		default:
			part, delta = delta[:op], delta[op:]
		}
		if result = append(result, part...); uint64(len(result)) > size {
			return nil, errDelta
		}
	}
	if uint64(len(result)) != size {
		return nil, errDelta
	}
	return result, nil
}

// copyOp reads the rest of an operation that copies from the base. A nil rest:
// there is none.
func copyOp(op byte, delta []byte) (offset, length uint32, rest []byte) {
	for i := range 7 {
		if op>>i&1 == 0 {
			continue
		}
		if len(delta) == 0 {
			return 0, 0, nil
		}
		if i < 4 {
			offset |= uint32(delta[0]) << (8 * i)
		} else {
			length |= uint32(delta[0]) << (8 * (i - 4))
		}
		delta = delta[1:]
	}
	if length == 0 {
		length = 1 << 16
	}
	return offset, length, delta
}
