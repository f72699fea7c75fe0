package inventory

import "errors"

// A version is an epoch, which tells stores apart, and the number of a change in
// that store. Both only rise, so a version of another replica, or of this one
// before it was restarted, is known by what it is, however many changes there
// were and whatever the clocks say. Versions fit a positive int64.
const (
	epochBits    = 24
	sequenceBits = 63 - epochBits
)

// MaxEpoch is the highest epoch of a store.
const MaxEpoch = 1<<epochBits - 1

// ErrExpired says that a version is not, or no longer, known to this store. It
// was issued by another replica, or is older than the history that is kept.
var ErrExpired = errors.New("version is not known to this replica or too old")

// ErrFuture says that no store has issued a version yet.
var ErrFuture = errors.New("version is newer than any of this replica")

// firstVersion is that of a store of the epoch when it is empty. It is never 0.
func firstVersion(epoch uint32) uint64 { return uint64(epoch)<<sequenceBits + 1 }

// check returns an error unless the version is one of this store up to the
// newest. ErrExpired is one of another store.
func (s *Store) check(version, newest uint64) error {
	epoch, own := version>>sequenceBits, newest>>sequenceBits
	switch {
	case epoch < own, version == 0:
		return ErrExpired
	case version <= newest:
		return nil
	case epoch > own && epoch <= uint64(s.history.options.NewestEpoch()):
		return ErrExpired
	}
	return ErrFuture
}
