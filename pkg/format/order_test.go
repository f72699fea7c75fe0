package format

import (
	"fmt"
	"slices"
	"testing"

	"kollect.io/kollect/pkg/inventory"
)

// Runs are ordered by themselves, by a few bytes at a time: what comes out is in the
// order of comparisons, whatever names have in common.
func TestRunsAreInOrder(t *testing.T) {
	ref := inventory.Ref{Name: "platform"}
	targets := []inventory.TargetRef{{Name: "apps"}, {Name: "web"}}
	store := inventory.NewStore(inventory.Options{})
	store.Update(func(tx *inventory.Tx) {
		tx.SetInventory(inventory.Inventory{Ref: ref, Cluster: "demo", Targets: targets})
		for i := range 4000 {
			content := inventory.RowContent{
				Resource: &inventory.Resource{Kind: []string{"Pod", "PodTemplate", "Service"}[i%3]},
				Target:   &targets[i%2],
				UID:      fmt.Sprint(i),
				Name:     fmt.Sprintf("a-long-name-that-many-have-%d", i/7*7919%500),
			}
			if i%5 > 0 {
				content.Namespace = fmt.Sprint("team", "-a-b"[:i/11%5])
			}
			if i%200 < 40 {
				content.Name = content.Name[:i%200%len(content.Name)]
			}
			tx.Put(inventory.NewRow(content), "")
		}
	})
	snapshot := store.State().Snapshot(ref)
	want := slices.SortedFunc(snapshot.Entries(), compareEntries)
	for _, runRows := range []int{1, 100, 1000, 4000} {
		o := newOrder(snapshot, runRows)
		if got := slices.Collect(o.all); !slices.Equal(got, want) {
			t.Errorf("runs of %d: %d entries, not those in order", runRows, len(got))
		}
		for i, r := range o.runs {
			if len(o.runs) < 50 && (r.size < runRows/2 || r.size > 2*runRows) {
				t.Errorf("run %d of %d entries, want about %d", i, r.size, runRows)
			}
		}
		for range o.all { // ends early
			break
		}
	}
}
