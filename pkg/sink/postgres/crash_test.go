package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/postgres"
)

// TestServerIsKilled kills the server at random moments of exports, and then goes
// on with what the destination says that it holds.
func TestServerIsKilled(t *testing.T) {
	own, err := service.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	store, err := open(t, kollectv1alpha1.PostgresSink{}, map[string]string{"dsn": own.DSN("postgres")})
	if err != nil {
		t.Fatal(err)
	}
	c := newChurn(store, sinktest.NewSample(ref))
	c.sample.Fill(2000)
	for round := range 6 {
		if err := c.resume(t); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if !c.known[c.mark.Hash] && c.mark.Generation > 0 {
			t.Fatalf("round %d: generation %d is of no content that was exported", round, c.mark.Generation)
		}
		if c.mark.Hash != c.base.Hash().String() && c.mark.Generation > 0 {
			t.Fatalf("round %d: the rows are not those of generation %d", round, c.mark.Generation)
		}
		reached, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- c.run(t, 1+rand.IntN(20), reached) }()
		<-reached
		own.Kill()
		if err := <-done; err == nil || errors.Is(err, sink.ErrFenced) || sink.IsPermanent(err) {
			t.Fatalf("round %d: exporting to a server that was killed: %v", round, err)
		}
		if err := own.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.resume(t); err != nil {
		t.Fatal(err)
	}
	if err := c.export(t); err != nil {
		t.Fatal(err)
	}
	if err := c.resume(t); err != nil || c.base.Hash() != c.sample.Snapshot().Hash() {
		t.Fatalf("the rows are not those of the snapshot: %v", err)
	}
}

// churn exports ever new content.
type churn struct {
	store  *Store
	sample *sinktest.Sample
	mark   sink.Mark
	base   *inventory.Base
	spent  int64
	known  map[string]bool // hashes that were exported
	during func()          // called in the midst of an export; may be nil
}

func newChurn(store *Store, sample *sinktest.Sample) *churn {
	return &churn{store: store, sample: sample, known: map[string]bool{}}
}

// mustExport exports as a process would that has just started.
func (c *churn) mustExport(t *testing.T) {
	t.Helper()
	if err := c.resume(t); err != nil {
		t.Fatalf("resume: %v", err)
	}
	if err := c.export(t); err != nil {
		t.Fatalf("export: %v", err)
	}
}

func (c *churn) resume(t *testing.T) (err error) {
	of := c.sample.Snapshot().Inventory()
	if c.mark, err = c.store.Mark(t.Context(), of); err != nil {
		return err
	}
	var rows []inventory.Held
	err = c.store.Held(t.Context(), of, func(h inventory.Held) error {
		rows = append(rows, h)
		return nil
	})
	c.base = inventory.NewBase(rows)
	return err
}

// run exports until that fails. It closes reached after n exports, or when it
// returns.
func (c *churn) run(t *testing.T, n int, reached chan<- struct{}) error {
	closing := sync.OnceFunc(func() { close(reached) })
	defer closing()
	for i := 0; ; i++ {
		if i == n {
			closing()
		}
		c.sample.Set("web", fmt.Sprintf("nginx:1.%d", i))
		c.sample.Set(fmt.Sprintf("new-%d", i%5), "nginx:1.27")
		if i%2 == 1 {
			c.sample.Delete(fmt.Sprintf("new-%d", i%5))
		}
		if err := c.export(t); err != nil {
			return err
		}
	}
}

func (c *churn) export(t *testing.T) error { return c.exportIn(t.Context()) }

func (c *churn) exportIn(ctx context.Context) error {
	s := c.sample.Snapshot()
	c.spent = max(c.spent, c.mark.Generation) + 1
	c.known[s.Hash().String()] = true
	base, schema := c.base, c.store.Schema(s.Inventory())
	if c.mark.Schema != schema {
		base = base.Unknown()
	}
	mark, err := c.store.Apply(ctx, sink.Delta{
		Inventory: s.Inventory(), Base: c.mark, Generation: c.spent, Time: when, Hash: s.Hash().String(),
		Schema: schema, Rows: int64(s.Len()), Updates: func(yield func(inventory.Update) bool) {
			if c.during != nil {
				c.during()
			}
			base.Diff(s, nil)(yield)
		},
	})
	if err == nil {
		c.mark, c.base = mark, inventory.BaseOf(s)
	}
	return err
}
