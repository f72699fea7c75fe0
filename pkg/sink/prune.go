package sink

import (
	"context"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// Planned is what a destination's retention makes of a generation.
type Planned struct {
	Generation int64
	// Time is when it was written, by the destination's clock.
	Time time.Time
	Keep bool
	// Reason is why, for people.
	Reason string
}

// Pruner is a store that removes old generations by a retention of its own.
type Pruner interface {
	// Plan returns what would become of each generation now, newest first. It
	// changes nothing.
	Plan(ctx context.Context, of *inventory.Inventory) ([]Planned, error)
	// Prune removes those of the generations that a plan of now would remove. What
	// readers were pointed to stays whole at every instant, also if it fails midway.
	Prune(ctx context.Context, of *inventory.Inventory, generations []int64) error
}
