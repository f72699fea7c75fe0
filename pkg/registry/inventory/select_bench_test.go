package inventory

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/fields"

	"kollect.io/kollect/pkg/inventory"
)

// BenchmarkSelect is the cost of a list, as JSON, of the 100 rows that have one
// value of an attribute.
func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run("rows="+strconv.Itoa(n), func(b *testing.B) {
			const found = 100
			s, storages := newStorage(b, inventory.Options{})
			addInventory(s, apps, 0)
			const batch = 10_000
			for i := 0; i < n; i += batch {
				s.Update(func(tx *inventory.Tx) {
					for j := i; j < i+batch; j++ {
						tx.Put(newRow(apps, j, fmt.Sprint("nginx:", j%(n/found))), "")
					}
				})
			}
			ctx, o := in(b, "team-a"), options{FieldSelector: fields.OneTermEqualSelector("attributes.image", "nginx:7")}
			if got := len(keysOf(mustList(b, ctx, storages["inventoryrows"], o))); got != found {
				b.Fatalf("found %d rows, want %d", got, found)
			}
			runtime.GC()
			b.ReportAllocs()
			for b.Loop() {
				if err := mustList(b, ctx, storages["inventoryrows"], o).writeJSON(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
