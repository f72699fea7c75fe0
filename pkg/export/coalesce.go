package export

import "time"

// Coalesce is what is remembered of the last successful export, to tell when
// the next is due (ADR-0305).
type Coalesce struct {
	// LastGeneration is the metadata.generation of the inventory's configuration.
	LastGeneration int64
	// LastHash is the content hash.
	LastHash string
	// LastExport is when the content was last written or confirmed.
	LastExport time.Time
}

// ShouldSkip reports whether an export at now would say nothing new: the spec
// generation is unchanged, the content is unchanged, and the last success is
// less than minInterval ago. A last success in the future, which means that a
// clock was set back, does not count.
func (c Coalesce) ShouldSkip(specGeneration int64, hash string, now time.Time, minInterval time.Duration) bool {
	since := now.Sub(c.LastExport)
	return specGeneration == c.LastGeneration && hash == c.LastHash && since >= 0 && since < minInterval
}
