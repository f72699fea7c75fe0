package objectstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// list returns what readers learn from the cluster's list, by name: the generation
// of each inventory that is there, whose data it has read, and the links.
func (d *destination) list(ctx context.Context, cluster string) (map[string]int64, string, error) {
	data, err := d.get(ctx, d.spec.Prefix+"current/cluster="+cluster+"/_inventories.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	l, err := parseList(data, cluster)
	if err != nil {
		return nil, "", err
	}
	generations := map[string]int64{}
	for _, e := range l.Inventories {
		if e.Forgotten {
			continue
		}
		generations[e.ref().String()] = e.Generation
		rows := map[string]string{}
		data, err := d.get(ctx, d.spec.Prefix+e.Data)
		if err == nil {
			err = readRows(string(e.Format), data, rows)
		}
		if err != nil || int64(len(rows)) != e.Rows {
			return nil, "", fmt.Errorf("the data of %s has %d rows, and not %d: %v", e.Name, len(rows), e.Rows, err)
		}
	}
	links, err := d.get(ctx, d.spec.Prefix+"current/cluster="+cluster+"/files.txt")
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return generations, string(links), err
}

func (d *destination) wantList(t *testing.T, cluster string, want map[string]int64) {
	t.Helper()
	got, _, err := d.list(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the list of %s: -want +got\n%s", cluster, diff)
	}
}

// write exports a snapshot of the inventory.
func write(ctx context.Context, store sink.SnapshotStore, s *sinktest.Sample, generation int64) error {
	_, err := store.Write(ctx, sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: exportTime})
	return err
}

func mustWrite(t *testing.T, store sink.SnapshotStore, s *sinktest.Sample, generation int64) {
	t.Helper()
	if err := write(t.Context(), store, s, generation); err != nil {
		t.Fatal(err)
	}
}

func sampleOf(cluster, namespace, name string) *sinktest.Sample {
	s := sinktest.NewSampleOf(cluster, inventory.Ref{Namespace: namespace, Name: name})
	s.Fill(3)
	return s
}

func TestListOfWhatIsCurrent(t *testing.T) {
	d := inMemory(t)
	d.spec.Format = "parquet"
	store := d.Open(t)
	a, b, platform := sampleOf("demo", "team-a", "apps"), sampleOf("demo", "team-b", "apps"), sampleOf("demo", "", "platform")
	d.wantList(t, "demo", nil)
	mustWrite(t, store, b, 7)
	mustWrite(t, store, a, 4)
	mustWrite(t, store, platform, 2)
	mustWrite(t, store, a, 5)
	mustWrite(t, store, sampleOf("edge", "team-a", "apps"), 1)
	d.wantList(t, "demo", map[string]int64{"team-a/apps": 5, "team-b/apps": 7, "platform": 2})
	d.wantList(t, "edge", map[string]int64{"team-a/apps": 1})
	_, links, err := d.list(t.Context(), "demo")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join([]string{
		"memory://lake/inventory/cluster=demo/ns=_cluster/name=platform/generation=2.parquet",
		"memory://lake/inventory/cluster=demo/ns=team-a/name=apps/generation=5.parquet",
		"memory://lake/inventory/cluster=demo/ns=team-b/name=apps/generation=7.parquet",
		"",
	}, "\n"); links != want {
		t.Errorf("links are\n%swant\n%s", links, want)
	}
	// What was forgotten stays so, whoever comes late.
	if err := store.Forget(t.Context(), a.Snapshot().Inventory(), 9, exportTime); err != nil {
		t.Fatal(err)
	}
	late := d.Open(t).(*Store)
	if err := late.publish(t.Context(), &pointer{manifest: manifest{
		Cluster: "demo", Namespace: "team-a", Name: "apps", Generation: 6, Format: "parquet", Data: dataKey(folderName+"/", 6, "parquet"),
	}}); err != nil {
		t.Fatal(err)
	}
	d.wantList(t, "demo", map[string]int64{"team-b/apps": 7, "platform": 2})
	mustWrite(t, store, a, 10)
	d.wantList(t, "demo", map[string]int64{"team-a/apps": 10, "team-b/apps": 7, "platform": 2})
}

// Folders have no links: nobody who needs them reads there.
func TestNoLinksInFolders(t *testing.T) {
	d := inFolder(t, "parquet")
	mustWrite(t, d.Open(t), sampleOf("demo", "team-a", "apps"), 1)
	if _, links, err := d.list(t.Context(), "demo"); err != nil || links != "" {
		t.Errorf("links %q, %v", links, err)
	}
}

// However an export ends, a reader of the list sees old or new content, never
// older than before; and the next confirmation brings the list up to the pointer.
func TestListAfterInterruptions(t *testing.T) {
	for _, how := range []sinktest.Interruption{sinktest.Refused, sinktest.Cut, sinktest.Unanswered} {
		interrupted := true
		for n := 0; interrupted; n++ {
			d := inMemory(t)
			d.spec.Format = "parquet"
			store := d.Open(t)
			s := sampleOf("demo", "team-a", "apps")
			mustWrite(t, store, s, 1)
			s.Set("web", "nginx:1.27")
			d.Interrupt(n, how)
			err := write(t.Context(), store, s, 2)
			interrupted = d.Interrupted()
			d.Interrupt(-1, how)
			listed, _, listErr := d.list(t.Context(), "demo")
			if listErr != nil || listed["team-a/apps"] < 1 || err == nil && listed["team-a/apps"] != 2 {
				t.Fatalf("at step %d, %v, the list says %v, %v; the export: %v", n, how, listed, listErr, err)
			}
			mark, err := store.Mark(t.Context(), s.Snapshot().Inventory())
			if err != nil {
				t.Fatal(err)
			}
			if behind := listed["team-a/apps"] < mark.Generation; behind && !mark.Time.IsZero() {
				t.Errorf("at step %d, %v, the list is behind, and the mark has a time, so that nothing is due", n, how)
			}
			confirming := store
			if n%2 == 0 {
				confirming = d.Open(t) // a restart
			}
			if _, err := confirming.Confirm(t.Context(), s.Snapshot().Inventory(), mark, exportTime.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			d.wantList(t, "demo", map[string]int64{"team-a/apps": mark.Generation})
		}
	}
}

// Processes that export at once lose nothing of one another's.
func TestListOfManyWriters(t *testing.T) {
	for name, d := range map[string]*destination{"folder": inFolder(t, "parquet"), "cloud": inMemory(t)} {
		t.Run(name, func(t *testing.T) {
			d.spec.Format = "parquet"
			want := map[string]int64{}
			stores := []sink.SnapshotStore{d.Open(t), d.Open(t)}
			var writers sync.WaitGroup
			for i := range 12 {
				s := sampleOf("demo", "team-a", fmt.Sprintf("apps-%d", i))
				want[fmt.Sprintf("team-a/apps-%d", i)] = 3
				writers.Go(func() {
					for generation := int64(1); generation <= 3; generation++ {
						if err := eventually(t, stores[i%2], s, generation); err != nil {
							t.Error(err)
						}
					}
				})
			}
			writers.Wait()
			d.wantList(t, "demo", want)
		})
	}
}

// eventually exports as the exporter does: what lost to others again and again is
// tried again, by a confirmation if the pointer has moved.
func eventually(t *testing.T, store sink.SnapshotStore, s *sinktest.Sample, generation int64) error {
	err := write(t.Context(), store, s, generation)
	for errors.Is(err, errChanged) {
		var mark sink.Mark
		if mark, err = store.Mark(t.Context(), s.Snapshot().Inventory()); err != nil {
			return err
		}
		if mark.Generation < generation {
			return fmt.Errorf("generation %d is not there after a lost race for the list", generation)
		}
		_, err = store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, exportTime)
	}
	return err
}

// A list that somebody removed is made again with all that this process knows; one
// that is not ours is never written over.
func TestListThatSomebodyChanged(t *testing.T) {
	d := inFolder(t, "parquet")
	store := d.Open(t).(*Store)
	now := exportTime
	store.now = func() time.Time { return now }
	a, b := sampleOf("demo", "team-a", "apps"), sampleOf("demo", "team-b", "apps")
	mustWrite(t, store, a, 1)
	mustWrite(t, store, b, 2)
	name := filepath.Join(d.root, "tenant/lake/some/where/current/cluster=demo/_inventories.json")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	confirm := func() error {
		mark, err := store.Mark(t.Context(), b.Snapshot().Inventory())
		if err != nil {
			return err
		}
		_, err = store.Confirm(t.Context(), b.Snapshot().Inventory(), mark, now)
		return err
	}
	if err := confirm(); err != nil {
		t.Fatal(err)
	}
	d.wantList(t, "demo", nil) // nobody looks all the time
	now = now.Add(recheck)
	if err := confirm(); err != nil {
		t.Fatal(err)
	}
	d.wantList(t, "demo", map[string]int64{"team-a/apps": 1, "team-b/apps": 2})

	for _, content := range []string{"", "[]", `{"apiVersion":"v1","kind":"List"}`, strings.Replace(string(read(t, name)), `"demo"`, `"edge"`, 1),
		strings.Replace(string(read(t, name)), "generation=1", "generation=9", 1)} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		now = now.Add(recheck)
		err := confirm()
		if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "current/cluster=demo/_inventories.json: not a list that Kollect wrote") {
			t.Errorf("over %q: %v", content, err)
		}
		if got := read(t, name); string(got) != content {
			t.Errorf("%q was written over", content)
		}
		if got, err := d.Read(t.Context(), a.Snapshot().Inventory()); err != nil || got.Generation != 1 {
			t.Errorf("the last snapshot is %v, %v", got, err)
		}
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What was forgotten fences for a while, and is gone then.
func TestListForgetsInTheEnd(t *testing.T) {
	l := &list{Cluster: "demo"}
	gone := listed{Namespace: "team-a", Name: "apps", Generation: 2, ExportedAt: exportTime, Forgotten: true}
	l, _ = l.merge([]listed{gone})
	if _, changed := l.merge([]listed{{Namespace: "team-a", Name: "apps", Generation: 1, ExportedAt: exportTime}}); changed {
		t.Error("an older export came back")
	}
	l, _ = l.merge([]listed{{Name: "platform", Generation: 1, ExportedAt: exportTime.Add(fenceFor)}})
	if len(l.Inventories) != 1 || l.Inventories[0].Name != "platform" {
		t.Errorf("the list has %v", l.Inventories)
	}
}
