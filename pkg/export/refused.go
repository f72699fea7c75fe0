package export

import (
	"fmt"
	"iter"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// refused are the rows that a destination cannot hold: they are left out, as
// though the snapshot did not have them, until they fit.
type refused struct {
	keys []inventory.Key // in order
	why  error           // of the first
}

// refusals asks a destination that has limits which rows of the updates it cannot
// hold.
func refusals(store sink.Keeper, of *inventory.Inventory, updates iter.Seq[inventory.Update]) (r refused) {
	limited, ok := store.(sink.Limited)
	if !ok {
		return r
	}
	for u := range updates {
		if u.Row == nil {
			continue
		}
		if err := limited.Refuses(of, u.Key, u.Row); err != nil {
			if r.why == nil {
				r.why = err
			}
			r.keys = append(r.keys, u.Key)
		}
	}
	return r
}

// leave returns the updates without the refused rows. What is held of one under
// an earlier content is deleted.
func (r refused) leave(updates iter.Seq[inventory.Update]) iter.Seq[inventory.Update] {
	if len(r.keys) == 0 {
		return updates
	}
	return func(yield func(inventory.Update) bool) {
		left := r.keys
		for u := range updates {
			if len(left) > 0 && u.Key == left[0] {
				left = left[1:]
				u.Row = nil
				if !u.Held {
					continue
				}
			}
			if !yield(u) {
				return
			}
		}
	}
}

// tell has a result say that rows are left out.
func (r refused) tell(result Result) Result {
	if len(r.keys) == 0 || result.Outcome != Exported {
		return result
	}
	result.Outcome = RowsRefused
	result.Message = fmt.Sprintf("rows that are left out: %d, such as %v", len(r.keys), r.why)
	return result
}
