package sinktest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// forgetful is a destination under test of any role, for what all roles do when
// an inventory is forgotten.
type forgetful struct {
	// process opens the destination as another process would, for any inventories.
	process func(t *testing.T) func(of *inventory.Inventory) *owner
	read    func(ctx context.Context, of *inventory.Inventory) (*Content, error)
	faults  Faults // nil: it has none
}

// open returns the inventory's owner, in a process of its own.
func (d forgetful) open(t *testing.T, of *inventory.Inventory) *owner {
	t.Helper()
	return d.process(t)(of)
}

// owner exports an inventory.
type owner struct {
	sink.Store
	// export goes out from what is held, and fails the test unless the snapshot is
	// held then.
	export func(t *testing.T, s *inventory.Snapshot, generation int64)
	// tryExport goes out from what the last export left.
	tryExport func(ctx context.Context, s *inventory.Snapshot, generation int64) error
	// held returns how many rows are read back, where rows are.
	held func(t *testing.T) int
}

// forgetting runs the cases.
func forgetting(t *testing.T, make func(t *testing.T) forgetful) {
	for name, test := range map[string]func(*testing.T, forgetful){
		"forgets":                           testForget,
		"forgets what is not there":         testForgetNothing,
		"forgets again":                     testForgetAgain,
		"forgets under a newer generation":  testForgetFenced,
		"forgets one of many":               testForgetOne,
		"exports again what was forgotten":  testExportForgotten,
		"fences who exports what is forgot": testPausedForgotten,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
	if make(t).faults != nil {
		t.Run("forgets when interrupted", func(t *testing.T) { testForgetInterrupted(t, make) })
	}
}

func (d keepers) forgetful() forgetful {
	return forgetful{read: d.read, faults: d.faults, process: func(t *testing.T) func(*inventory.Inventory) *owner {
		shared := d.start(t, NewSample(ref).Snapshot().Inventory()).keeper
		return func(of *inventory.Inventory) *owner { return d.owner(&writer{keeper: shared}, of) }
	}}
}

func (d keepers) owner(w *writer, of *inventory.Inventory) *owner {
	w.base = inventory.NewBase(nil)
	return &owner{
		Store: w.Keeper,
		export: func(t *testing.T, s *inventory.Snapshot, generation int64) {
			t.Helper()
			w.resume(t, of)
			w.mustExport(t, d, s, generation)
		},
		tryExport: w.export,
		held: func(t *testing.T) int {
			t.Helper()
			rows, err := w.held(t.Context(), of)
			if err != nil {
				t.Fatalf("held: %v", err)
			}
			return len(rows)
		},
	}
}

func forgetfulSnapshots(d Snapshots) forgetful {
	faults, _ := d.(Faults)
	return forgetful{read: d.Read, faults: faults, process: func(t *testing.T) func(*inventory.Inventory) *owner {
		store := open(t, d)
		return func(*inventory.Inventory) *owner { return ownerOfSnapshots(d, store) }
	}}
}

func ownerOfSnapshots(d Snapshots, store sink.SnapshotStore) *owner {
	return &owner{
		Store: store,
		export: func(t *testing.T, s *inventory.Snapshot, generation int64) {
			t.Helper()
			mustWrite(t, store, s, generation)
			mustRead(t, d, s, generation)
		},
		tryExport: func(ctx context.Context, s *inventory.Snapshot, generation int64) error {
			_, err := write(ctx, store, s, generation)
			return err
		},
		held: func(*testing.T) int { return 0 },
	}
}

// mustForget forgets, and checks that nothing is left.
func (d forgetful) mustForget(t *testing.T, o *owner, of *inventory.Inventory, generation int64) {
	t.Helper()
	if err := o.Forget(t.Context(), of, generation, at(generation)); err != nil {
		t.Fatalf("forget under generation %d: %v", generation, err)
	}
	d.mustBeForgotten(t, o, of, generation)
}

func (d forgetful) mustBeForgotten(t *testing.T, o *owner, of *inventory.Inventory, generation int64) {
	t.Helper()
	mark, err := o.Mark(t.Context(), of)
	if err != nil {
		t.Fatalf("mark: %v", err)
	}
	if diff := cmp.Diff(sink.Mark{Generation: generation, Time: at(generation), Forgotten: true}, mark); diff != "" {
		t.Fatalf("mark of what was forgotten: -want +got\n%s", diff)
	}
	if n := o.held(t); n != 0 {
		t.Errorf("%d rows are held of what was forgotten", n)
	}
	got, err := d.read(t.Context(), of)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if got != nil && len(got.Rows) > 0 {
		t.Errorf("a reader sees %d rows of what was forgotten", len(got.Rows))
	}
	if refs := mustList(t, o, of.Cluster); slices.Contains(refs, of.Ref) {
		t.Errorf("%s is listed, though it was forgotten, in %v", of.Ref, refs)
	}
}

// mustList returns the inventories that are held of a cluster, sorted.
func mustList(t *testing.T, o *owner, cluster string) []inventory.Ref {
	t.Helper()
	refs, err := o.Inventories(t.Context(), cluster)
	if err != nil {
		t.Fatalf("list inventories of cluster %s: %v", cluster, err)
	}
	slices.SortFunc(refs, func(a, b inventory.Ref) int { return strings.Compare(a.String(), b.String()) })
	return refs
}

func (d forgetful) mustRead(t *testing.T, s *inventory.Snapshot, generation int64) {
	t.Helper()
	keepers{read: d.read}.mustRead(t, s, generation)
}
