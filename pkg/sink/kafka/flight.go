package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load is a number of records, and of bytes in them.
type load struct{ records, bytes int }

func (l load) within(most load) bool { return l.records <= most.records && l.bytes <= most.bytes }

const (
	// maxInFlight is how many records, and maxInFlightBytes how much, are on their way.
	maxInFlight      = 8192
	maxInFlightBytes = 8 << 20
	// lowInFlight and lowInFlightBytes are when there is room again, so that who waits
	// for it need not do so for each record.
	lowInFlight      = maxInFlight / 4 * 3
	lowInFlightBytes = maxInFlightBytes / 4 * 3
)

// flight is of the records that are on their way to the broker, and has the pieces of
// those that came there. It is safe for concurrent use.
type flight struct {
	news  chan struct{} // has one once no more is flying than is waited for
	frame []byte        // what values begin with

	mu      sync.Mutex // guards what follows
	flying  load       // what has no answer
	wanted  load       // how little is waited for
	answers int        // how many came
	lowest  int64      // offset; -1: there is none
	newest  int64      // offset, that came last
	err     error      // of the first record that was not written
	free    []*piece
	grown   int // for how many records the next piece is, if none is free
}

func newFlight(frame []byte) *flight {
	return &flight{frame: frame, news: make(chan struct{}, 1), lowest: -1, grown: firstPiece}
}

// begin forgets the lowest offset.
func (f *flight) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lowest = -1
}

// takeOff adds a record of that size, and returns false if there is no room for it.
func (f *flight) takeOff(size int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return false, f.err
	}
	if f.flying.records > 0 && (f.flying.records >= maxInFlight || f.flying.bytes+size > maxInFlightBytes) {
		return false, nil
	}
	f.flying.records++
	f.flying.bytes += size
	return true, nil
}

// room is how little is to be flying before a record of that size takes off that had
// no room.
func room(size int) load {
	return load{lowInFlight, max(0, min(lowInFlightBytes, maxInFlightBytes-size))}
}

// land notes the answer to a record of the piece. Answers come in the order of the
// records, up to the first that was not written.
func (f *flight) land(p *piece, r *kgo.Record, err error) {
	f.mu.Lock()
	f.flying.records--
	f.flying.bytes -= p.sizes[p.written]
	f.answers++
	if err == nil {
		if f.lowest < 0 || r.Offset < f.lowest {
			f.lowest = r.Offset
		}
		f.newest = r.Offset
		p.written++
		f.recycle(p)
	} else if f.err == nil {
		f.err = err
	}
	enough := f.err != nil || f.flying.within(f.wanted)
	f.mu.Unlock()
	if enough {
		select {
		case f.news <- struct{}{}:
		default: // there is one
		}
	}
}

// landed returns how many answers there were, and whether no more than most is
// flying, of which there is news if not.
func (f *flight) landed(most load) (answers int, enough bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = most
	return f.answers, f.flying.within(most), f.err
}

// offsets returns the lowest one of what was written since it began, -1 if nothing
// was, and that of the last record.
func (f *flight) offsets() (lowest, last int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lowest, f.newest
}

// piece returns one without records.
func (f *flight) piece() *piece {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.free); n > 0 {
		p := f.free[n-1]
		f.free = f.free[:n-1]
		p.reset()
		return p
	}
	p := newPiece(f.grown, f.frame)
	p.landed = func(r *kgo.Record, err error) { f.land(p, r, err) }
	f.grown = min(pieceGrowth*f.grown, maxPiece)
	return p
}

// release takes a piece back that was sent.
func (f *flight) release(p *piece) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.sent = true
	f.recycle(p)
}

// recycle has a piece used again that was sent and written. Records of which it is not
// known whether they were written may still be read.
func (f *flight) recycle(p *piece) {
	if p.sent && p.written == p.made && len(p.records) == maxPiece {
		f.free = append(f.free, p)
	}
}
