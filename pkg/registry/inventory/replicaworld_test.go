package inventory

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	inventoryv1alpha1 "kollect.io/kollect/pkg/apis/inventory/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
)

// world is what replicas collect: inventories, of which one comes and goes, and
// their rows.
type world struct {
	mu      sync.Mutex // guards what follows
	rows    map[string]*inventory.Row
	absent  bool // the last inventory
	changes []func(*inventory.Tx)
	more    chan struct{} // closed when there are more changes
}

var worldRefs = []inventory.Ref{apps, {Namespace: "team-a", Name: "apps.x"}, platform, {Namespace: "team-b", Name: "apps"}}

func newWorld() *world {
	w := &world{rows: map[string]*inventory.Row{}, more: make(chan struct{})}
	for i := range 120 {
		row := worldRow(i, "0")
		w.rows[row.Target().String()+row.UID()] = row
	}
	return w
}

func worldRow(i int, value string) *inventory.Row {
	return inventory.NewRow(inventory.RowContent{
		Resource: deployments, Target: targetOf(worldRefs[i%len(worldRefs)]), Namespace: "source", Name: fmt.Sprintf("app-%d", i),
		UID: fmt.Sprintf("uid-%d", i), Created: created, Labels: map[string]string{"value": value}, Attributes: fmt.Appendf(nil, `{"image":%q}`, value),
	})
}

func setWorldInventory(tx *inventory.Tx, ref inventory.Ref) {
	tx.SetTarget(*targetOf(ref), columns[:1])
	tx.SetInventory(inventory.Inventory{Ref: ref, UID: ref.String(), Cluster: "demo", Targets: []inventory.TargetRef{*targetOf(ref)}})
}

// step changes the world.
func (w *world) step(random *rand.Rand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	row := worldRow(random.IntN(150), strconv.Itoa(random.IntN(1000)))
	change, last := func(tx *inventory.Tx) { tx.Put(row, "") }, worldRefs[len(worldRefs)-1]
	switch name, n := row.Target().String()+row.UID(), random.IntN(100); {
	case n == 0 && w.absent:
		change = func(tx *inventory.Tx) { setWorldInventory(tx, last) }
		w.absent = false
	case n == 0:
		change = func(tx *inventory.Tx) { tx.RemoveInventory(last) }
		w.absent = true
	case n < 30:
		change = func(tx *inventory.Tx) { tx.Remove(row) }
		delete(w.rows, name)
	default:
		w.rows[name] = row
	}
	w.changes = append(w.changes, change)
	close(w.more)
	w.more = make(chan struct{})
}

// next returns the changes after the first n, and a channel that is closed when
// there are more.
func (w *world) next(n int) ([]func(*inventory.Tx), <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changes[n:], w.more
}

// contents returns a function that returns what is in a state.
func contents[T object](k kind[T], metadata bool) func(*inventory.State) map[string]string {
	return func(state *inventory.State) map[string]string {
		objects := map[string]string{}
		for o := range k.scan(state, place{}, "") {
			typed := o.typed()
			if metadata {
				typed = &metav1.PartialObjectMetadata{ObjectMeta: o.meta()}
			}
			objects[o.key()] = content(typed)
		}
		return objects
	}
}

// content returns what replicas agree on.
func content(o runtime.Object) string {
	m, err := meta.Accessor(o)
	if err != nil {
		panic(err)
	}
	parts := []any{m.GetUID(), m.GetLabels()}
	switch o := o.(type) {
	case *inventoryv1alpha1.InventoryRow:
		parts = append(parts, o.Attributes)
	case *inventoryv1alpha1.ClusterInventoryRow:
		parts = append(parts, o.Attributes)
	case *unstructured.Unstructured:
		parts = append(parts, o.Object["attributes"])
	case *inventoryv1alpha1.Inventory:
		parts = append(parts, o.Status.ContentHash, o.Status.Rows)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return string(text)
}
