package controlplane

import (
	"context"
	"fmt"
	"time"
)

const (
	pollInterval = 25 * time.Millisecond
	waitLimit    = 2 * time.Minute // suits a loaded machine; what works takes seconds
)

// poll calls f until it returns nil or ctx ends; the error then says why ctx
// ended, and the last error of f.
func poll(ctx context.Context, f func(context.Context) error) error {
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if pause(ctx, pollInterval) != nil {
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
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
