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

// cluster exports inventories, as the server of one does.
type cluster struct {
	name    string
	store   sink.Store
	members []*member
	read    func(ctx context.Context, of *inventory.Inventory) (*sinktest.Content, error)
	stop    func() // ends the exports; the store stays open
}

// member is one inventory of a cluster.
type member struct {
	sample   *sinktest.Sample
	exporter *export.Exporter
	number   int // tells its rows from others'
	changed  int
}

// start has the cluster export until the test ends.
func start(t *testing.T, d Destination, name string, number int) *cluster {
	t.Helper()
	store, destination := d.Open(t)
	c := &cluster{name: name, store: store, read: d.Read}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for i, ref := range inventories {
		m := &member{sample: sinktest.NewSampleOf(name, ref), number: 10*number + i}
		m.sample.Fill(100 + m.number)
		m.exporter = export.New(export.Options{
			Store: m.sample.Store(), Generations: export.NewGenerations(&reserver{}),
		})
		m.exporter.Set(export.Pair{
			Inventory: ref, Sink: "shared", Destination: destination(),
			Settings: export.Settings{MinInterval: interval, AllowMassDelete: true},
		})
		running.Go(func() { m.exporter.Run(ctx) })
		c.members = append(c.members, m)
	}
	c.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(func() {
		c.stop()
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func (m *member) of() *inventory.Inventory { return m.sample.Snapshot().Inventory() }

// change adds, changes and deletes rows. All clusters have objects of these names.
func (m *member) change(times int) {
	for range times {
		m.changed++
		m.sample.Set("web", fmt.Sprintf("nginx:1.%d", 1000*m.number+m.changed))
		m.sample.Set(fmt.Sprintf("new-%d", m.changed), fmt.Sprintf("nginx:2.%d", m.number))
		if m.changed%2 == 0 {
			m.sample.Delete(fmt.Sprintf("new-%d", m.changed-1))
		}
		if m.changed%20 == 10 {
			m.sample.Delete()
		}
		if m.changed%20 == 11 {
			m.sample.Fill(20 + m.number)
			m.sample.Set(fmt.Sprintf("new-%d", m.changed), "nginx:2")
		}
	}
}

// mustBeExported waits until the destination holds what the cluster has, and checks
// that readers see just that.
func (c *cluster) mustBeExported(t *testing.T) {
	t.Helper()
	for _, m := range c.members {
		want := m.sample.Snapshot().Hash().String()
		until(t, func() error {
			for _, state := range m.exporter.States(m.of().Ref) {
				if state.Hash != want {
					return fmt.Errorf("%s of cluster %s is not exported: %+v", m.of().Ref, c.name, state)
				}
			}
			return nil
		})
	}
	c.mustHold(t)
}

// mustHold checks what readers see.
func (c *cluster) mustHold(t *testing.T) {
	t.Helper()
	for _, m := range c.members {
		got, err := c.read(t.Context(), m.of())
		if err != nil {
			t.Fatalf("read %s of cluster %s: %v", m.of().Ref, c.name, err)
		}
		if diff := sinktest.Differs(m.sample.Snapshot(), got); diff != "" {
			t.Errorf("%s of cluster %s: -want +got\n%s", m.of().Ref, c.name, diff)
		}
	}
}

// times returns when each inventory was confirmed last, as the destination says.
func (c *cluster) times(t *testing.T) (times []time.Time) {
	t.Helper()
	for _, m := range c.members {
		mark, err := c.store.Mark(t.Context(), m.of())
		if err != nil {
			t.Fatalf("mark of %s of cluster %s: %v", m.of().Ref, c.name, err)
		}
		times = append(times, mark.Time)
	}
	return times
}

// reserver is the status of an inventory, of which generations are reserved.
type reserver struct {
	mu       sync.Mutex // guards what follows
	reserved int64
}

func (r *reserver) Reserve(_ context.Context, _ *inventory.Inventory, atLeast, count int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := max(r.reserved+1, atLeast)
	r.reserved = first + count - 1
	return first, nil
}
