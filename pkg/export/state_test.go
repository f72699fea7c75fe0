package export

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMessagesAreShortAndWithoutSecrets(t *testing.T) {
	for _, tc := range []struct{ name, err, want string }{
		{"user and password", "put https://me:pa@ss@host/x: refused", "put https://host/x: refused"},
		{"token", "nats://token@host:4222", "nats://host:4222"},
		{"no user", "get https://host/a@b: 404", "get https://host/a@b: 404"},
		{"lines", "first\n  second", "first second"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Message(errors.New(tc.err)); got != tc.want {
				t.Errorf("message %q, want %q", got, tc.want)
			}
		})
	}
	if got := Message(errors.New(strings.Repeat("ä", 1000))); len(got) > maxMessage || !strings.HasSuffix(got, "ä...") {
		t.Errorf("message of %d bytes: %q", len(got), got)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for failures, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: maxBackoff, 1000: maxBackoff} {
		for range 100 {
			if got := backoff(failures); got < most/2 || got > most {
				t.Errorf("backoff(%d) = %v, want between %v and %v", failures, got, most/2, most)
			}
		}
	}
}
