package export

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

const (
	// roomRows bounds how many rows are written at once by all loops: encoding
	// holds a part of them in memory, and uploads hold more.
	roomRows = 1_000_000
	// leastRows is what the smallest write counts as: it has buffers too.
	leastRows = roomRows / 32
)

// room is the memory for writing, shared by all loops. It is safe for concurrent
// use.
type room struct{ rows *semaphore.Weighted }

func newRoom() room { return room{semaphore.NewWeighted(roomRows)} }

// enter waits, in the order of arrival, until rows more may be written; one that
// needs more than there is takes it all. leave is to be called if err is nil.
func (r room) enter(ctx context.Context, rows int) (leave func(), err error) {
	weight := min(max(int64(rows), leastRows), roomRows)
	if err := r.rows.Acquire(ctx, weight); err != nil {
		return nil, fmt.Errorf("wait for other exports, which take the memory for %d rows: %w", roomRows, err)
	}
	return func() { r.rows.Release(weight) }, nil
}
