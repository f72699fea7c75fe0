// Package fleet has several clusters export to one destination at once, through
// the very loops of the server: none may touch another's rows, one that stops shows
// as stale and keeps its rows, and they go when it is forgotten, and only they. The
// destinations are those of other packages' tests.
package fleet

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// Destination is what the clusters share.
type Destination struct {
	// Open opens it as another cluster's server would, and returns what exports an
	// inventory there, too. Whoever calls it closes the store.
	Open func(t *testing.T) (sink.Store, func() export.Destination)
	// Read returns what a reader sees of an inventory, or nil if there is nothing.
	Read func(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error)
}

const (
	// interval is how often unchanged content is confirmed, and staleMultiple how
	// many times that passes before an inventory counts as stale.
	interval      = 100 * time.Millisecond
	staleMultiple = 10
	// changes is how often each inventory changes while all export.
	changes = 60
	// patience bounds every wait.
	patience = time.Minute
)

var (
	clusters    = []string{"fleet-1", "fleet-2", "fleet-10"} // names that start alike
	inventories = []inventory.Ref{{Namespace: "team-a", Name: "apps"}, {Name: "apps"}}
)

// Test checks that the destination keeps clusters apart.
func Test(t *testing.T, d Destination) {
	var fleet []*cluster
	for i, name := range clusters {
		fleet = append(fleet, start(t, d, name, i))
	}
	var all sync.WaitGroup
	for _, c := range fleet {
		for _, m := range c.members {
			all.Go(func() { m.change(changes) })
		}
	}
	all.Wait()
	for _, c := range fleet {
		c.mustBeExported(t)
	}

	gone, rest := fleet[0], fleet[1:]
	gone.stop()
	for _, c := range rest {
		for _, m := range c.members {
			m.change(3)
		}
		c.mustBeExported(t)
	}
	mustShowStale(t, gone, rest)
	gone.mustHold(t)

	forget(t, rest[0].store, gone.name)
	for _, m := range gone.members {
		got, err := d.Read(t.Context(), m.of())
		if err != nil || got != nil && len(got.Rows) > 0 {
			t.Errorf("%s of cluster %s: a reader sees %v, %v after it was forgotten", m.of().Ref, gone.name, got, err)
		}
	}
	for _, c := range rest {
		c.mustBeExported(t)
		for _, m := range c.members {
			m.change(3)
		}
		c.mustBeExported(t)
		if refs, err := c.store.Inventories(t.Context(), c.name); err != nil || len(refs) != len(inventories) {
			t.Errorf("of cluster %s %v is listed, %v", c.name, refs, err)
		}
	}
}

// forget does what an administrator does about a cluster that is gone.
func forget(t *testing.T, store sink.Store, name string) {
	t.Helper()
	refs, err := store.Inventories(t.Context(), name)
	if err != nil || len(refs) != len(inventories) {
		t.Fatalf("of cluster %s %v is listed, %v", name, refs, err)
	}
	for _, ref := range refs {
		of := &inventory.Inventory{Ref: ref, Cluster: name}
		mark, err := store.Mark(t.Context(), of)
		if err == nil {
			err = store.Forget(t.Context(), of, mark.Generation+1, time.Now())
		}
		if err != nil {
			t.Fatalf("forget %s of cluster %s: %v", ref, name, err)
		}
	}
	if refs, err := store.Inventories(t.Context(), name); err != nil || len(refs) > 0 {
		t.Errorf("of cluster %s %v is listed, %v, after it was forgotten", name, refs, err)
	}
}

// mustShowStale waits until the marks of the cluster that stopped are so much older
// than those of all that go on.
func mustShowStale(t *testing.T, gone *cluster, rest []*cluster) {
	t.Helper()
	last := gone.times(t)
	until(t, func() error {
		for _, c := range rest {
			for i, at := range c.times(t) {
				if age := at.Sub(last[i]); age < staleMultiple*interval {
					return fmt.Errorf("%s of cluster %s was confirmed %s after that of one that is gone", inventories[i], c.name, age)
				}
			}
		}
		return nil
	})
	for i, at := range gone.times(t) {
		if !at.Equal(last[i]) {
			t.Errorf("%s of a cluster that is gone was confirmed at %s, and at %s before", inventories[i], at, last[i])
		}
	}
}

func until(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-ticker.C:
		}
	}
}
