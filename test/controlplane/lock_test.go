package controlplane

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

func TestLockHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(t.Context(), t.Output(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var log bytes.Buffer
	if _, err := Lock(ctx, &log, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("lock what another holds: got %v, want the deadline exceeded", err)
	}
	if log.Len() == 0 {
		t.Error("who waits for a lock is not told")
	}
	unlock()
	unlock, err = Lock(t.Context(), t.Output(), path)
	if err != nil {
		t.Fatalf("lock what was unlocked: %v", err)
	}
	unlock()
}
