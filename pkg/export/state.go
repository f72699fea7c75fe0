package export

import (
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// State is the state of a pair, for the inventory's head and its conditions.
type State struct {
	inventory.SinkState
	// Outcome of the newest attempt.
	Outcome Outcome
	// Permanent says that only a change of the configuration or of the sink mends
	// the error.
	Permanent bool
}

// hold notes what the sink holds.
func (s *State) hold(mark sink.Mark) {
	s.Generation, s.Hash, s.Rows = mark.Generation, mark.Hash, mark.Rows
	s.LastSuccess = mark.Time
}

const maxMessage = 512

var userinfo = regexp.MustCompile(`://[^/?#\s"']*@`)

// Message returns the error on one line of bounded length, without what stands
// before the host of a URL.
func Message(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("timed out: " + err.Error())
	}
	s := userinfo.ReplaceAllString(err.Error(), "://")
	return clip(strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " "))
}

func clip(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	n := maxMessage - len("...")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

const (
	minBackoff     = time.Second
	maxBackoff     = 5 * time.Minute
	permanentDelay = 10 * time.Minute
	maxRetryWait   = time.Hour // that a destination can ask for
	fencedDelay    = 100 * time.Millisecond
	maxFenced      = 3 // fencings in a row that are answered at once
)

// backoff returns how long to wait after the given number of failures in a row:
// twice as long each time, less up to half by chance, so that loops spread.
func backoff(failures int) time.Duration {
	d := maxBackoff
	if failures < 10 {
		d = min(minBackoff<<(failures-1), maxBackoff)
	}
	return jitter(d)
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
