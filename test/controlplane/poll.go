package controlplane

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pollInterval = 25 * time.Millisecond
	waitLimit    = 2 * time.Minute // suits a loaded machine; what works takes seconds
)

// final is an error after which poll gives up.
type final struct{ error }

// poll calls f until it returns nil, a final error, or ctx ends; the error is
// the last one of f.
func poll(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		var last final
		if errors.As(err, &last) {
			return last.error
		}
		if waitErr := pause(ctx, pollInterval); waitErr != nil {
			return fmt.Errorf("%w: %w", waitErr, err)
		}
	}
}

// pause returns after d, or with ctx's error when that ends before.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
