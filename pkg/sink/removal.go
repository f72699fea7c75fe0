package sink

import (
	"context"
	"slices"
	"time"

	"kollect.io/kollect/pkg/inventory"
)

// Removal returns the delta that deletes all rows which a keeper holds of the
// inventory under base. What is held afterwards is no content, and has no hash.
func Removal(ctx context.Context, keeper Keeper, of *inventory.Inventory, base Mark, generation int64, at time.Time) (Delta, error) {
	var updates []inventory.Update
	if err := keeper.Held(ctx, of, func(h inventory.Held) error {
		updates = append(updates, inventory.Update{Key: h.Key, Held: true, Origin: h.Origin})
		return nil
	}); err != nil {
		return Delta{}, err
	}
	slices.SortFunc(updates, func(a, b inventory.Update) int { return a.Key.Compare(b.Key) })
	return Delta{Inventory: of, Base: base, Generation: generation, Time: at, Schema: base.Schema, Updates: slices.Values(updates)}, nil
}
