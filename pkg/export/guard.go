package export

import "time"

const (
	// guardRows is how many rows a destination must hold for the guard to care.
	guardRows = 100
	// guardWait bounds how long the guard waits for a second snapshot to agree.
	minGuardWait = 5 * time.Second
	maxGuardWait = 30 * time.Second
)

// guard holds back an export that shrinks what is there to less than half, until
// a complete snapshot says the same some time later. It counts rows, and does not
// compare them: as many others in place of those that go pass.
type guard struct{ since time.Time }

// until returns when the request may be exported, of which rows are left of so many
// before. The zero time is now.
func (g *guard) until(before, after int, r Request) time.Time {
	removed := before - after
	if r.Settings.AllowMassDelete || before <= guardRows || removed <= before/2 {
		*g = guard{}
		return time.Time{}
	}
	if g.since.IsZero() {
		g.since = r.Now
	}
	return g.since.Add(min(max(r.Settings.MinWriteInterval, minGuardWait), maxGuardWait))
}
