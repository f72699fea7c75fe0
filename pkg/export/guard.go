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

// until returns when the request may be exported, after which there are rows. The
// zero time is now.
func (g *guard) until(held, rows int64, r Request) time.Time {
	removed := held - rows
	if r.Settings.AllowMassDelete || held <= guardRows || removed <= held/2 {
		*g = guard{}
		return time.Time{}
	}
	if g.since.IsZero() {
		g.since = r.Now
	}
	return g.since.Add(min(max(r.Settings.MinWriteInterval, minGuardWait), maxGuardWait))
}
