package controller

import (
	"context"
	"errors"
	"fmt"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
)

// reserver reserves generations in the status of inventories. Of two processes
// that reserve at the same time, the API server lets one succeed, and the other
// reads again.
type reserver struct {
	kind    *inventoryKind
	leading func(context.Context) (bool, error)
}

var _ export.Reserver = &reserver{}

// Reserve implements export.Reserver. Who does not lead reserves nothing.
func (r *reserver) Reserve(ctx context.Context, of *inventory.Inventory, atLeast, count int64) (int64, error) {
	leads, err := r.leading(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask who leads: %w", err)
	}
	if !leads {
		return 0, errors.New("another replica leads and exports")
	}
	var first int64
	exists, err := r.kind.modify(ctx, key(of.Ref), of.UID, func(s *kollectv1alpha1.InventoryStatus) error {
		first = max(s.ReservedGeneration+1, atLeast)
		s.ReservedGeneration = first + count - 1
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("update the status of %s %s: %w", r.kind.nameOf(key(of.Ref)), of.Ref, err)
	}
	if !exists {
		return 0, fmt.Errorf("%s %s is gone", r.kind.nameOf(key(of.Ref)), of.Ref)
	}
	return first, nil
}
