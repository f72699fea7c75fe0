package export

import (
	"testing"
	"time"
)

func TestShouldSkip(t *testing.T) {
	now := time.Date(2026, 11, 21, 22, 33, 0, 0, time.UTC)
	last := Coalesce{LastGeneration: 3, LastHash: "sha256:a", LastExport: now.Add(-10 * time.Second)}
	for _, tc := range []struct {
		name       string
		last       Coalesce
		generation int64
		hash       string
		now        time.Time
		interval   time.Duration
		want       bool
	}{
		{"nothing changed within the interval", last, 3, "sha256:a", now, 30 * time.Second, true},
		{"the interval is over", last, 3, "sha256:a", now, 5 * time.Second, false},
		{"the interval ends now", last, 3, "sha256:a", now, 10 * time.Second, false},
		{"content changed", last, 3, "sha256:b", now, 30 * time.Second, false},
		{"spec changed", last, 4, "sha256:a", now, 30 * time.Second, false},
		{"both changed", last, 4, "sha256:b", now, 30 * time.Second, false},
		{"the last export is in the future", last, 3, "sha256:a", now.Add(-time.Hour), 30 * time.Second, false},
		{"never exported", Coalesce{}, 1, "sha256:a", now, time.Hour, false},
		{"no interval", last, 3, "sha256:a", now, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.last.ShouldSkip(tc.generation, tc.hash, tc.now, tc.interval); got != tc.want {
				t.Errorf("ShouldSkip = %v, want %v", got, tc.want)
			}
		})
	}
}
