package objectstore

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// exportedTo returns a folder with generations of an inventory, none of which is young.
func exportedTo(t *testing.T, last int64, retention *kollectv1alpha1.Retention) (*destination, *Store, *inventory.Inventory) {
	t.Helper()
	d := inFolder(t, "ndjson")
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	store := d.Open(t).(*Store)
	t.Cleanup(func() { store.Close() })
	for generation := int64(1); generation <= last; generation++ {
		s.Set("web", fmt.Sprint("nginx:", generation))
		if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: exportTime}); err != nil {
			t.Fatal(err)
		}
	}
	store.retention, store.minAge = retention, 0
	return d, store, s.Snapshot().Inventory()
}

func removable(planned []sink.Planned) (generations []int64) {
	for _, p := range planned {
		if !p.Keep {
			generations = append(generations, p.Generation)
		}
	}
	return generations
}

// Whatever is cut short, who goes by the pointer, by the cluster's list or by a
// manifest finds what it names, and the next run ends the work.
func TestPruneIsCutShortAnywhere(t *testing.T) {
	for _, how := range []sinktest.Interruption{sinktest.Refused, sinktest.Unanswered} {
		for n := 0; ; n++ {
			d, store, of := exportedTo(t, 6, &kollectv1alpha1.Retention{Keep: 2})
			planned, err := store.Plan(t.Context(), of)
			if err != nil {
				t.Fatal(err)
			}
			d.Interrupt(n, how)
			err = store.Prune(t.Context(), of, removable(planned))
			interrupted := d.Interrupted()
			d.Interrupt(-1, how)
			if (err != nil) != interrupted {
				t.Fatalf("step %d: error %v, interrupted %t", n, err, interrupted)
			}
			d.wantWhole(t, of)
			if err := store.Prune(t.Context(), of, removable(planned)); err != nil {
				t.Fatal(err)
			}
			d.wantWhole(t, of)
			left, err := store.Plan(t.Context(), of)
			if err != nil || len(left) != 2 || left[0].Generation != 6 || left[1].Generation != 5 {
				t.Fatalf("after step %d %v is left, %v", n, left, err)
			}
			if !interrupted {
				break
			}
		}
	}
}

// wantWhole reads what the pointer, the list and each manifest name.
func (d *destination) wantWhole(t *testing.T, of *inventory.Inventory) {
	t.Helper()
	content, err := d.Read(t.Context(), of)
	if err != nil || content.Generation != 6 {
		t.Fatalf("by the pointer a reader sees %v, %v", content, err)
	}
	d.wantList(t, of.Cluster, map[string]int64{of.Ref.String(): 6})
	base := filepath.Join(d.root, "tenant/lake/some/where")
	manifests, err := fs.Glob(os.DirFS(base), folderName+"/_manifests/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range manifests {
		var m manifest
		data, err := os.ReadFile(filepath.Join(base, name))
		if err == nil {
			err = json.Unmarshal(data, &m)
		}
		if err == nil {
			_, err = os.Stat(filepath.Join(base, m.Data))
		}
		if err != nil {
			t.Fatalf("%s names what is not there: %v", name, err)
		}
	}
}

// The list follows the pointer, and may be behind for as long as it can't be written.
func TestPruneKeepsWhatTheListHas(t *testing.T) {
	d, store, of := exportedTo(t, 6, &kollectv1alpha1.Retention{Keep: 1})
	name := filepath.Join(d.root, "tenant/lake/some/where", listKey(of.Cluster))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	behind := strings.NewReplacer(`"generation": 6`, `"generation": 3`, "generation=6", "generation=3").Replace(string(data))
	if err := os.WriteFile(name, []byte(behind), 0o644); err != nil {
		t.Fatal(err)
	}
	planned, err := store.Plan(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Prune(t.Context(), of, []int64{1, 2, 3, 4, 5, 6}); err != nil { // whoever asks
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{5, 4, 2, 1}, removable(planned)); diff != "" {
		t.Errorf("to be removed: -want +got\n%s", diff)
	}
	d.wantList(t, of.Cluster, map[string]int64{of.Ref.String(): 3})
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 6 {
		t.Errorf("by the pointer a reader sees %v, %v", content, err)
	}
}

// A plan removes nothing, and Prune nothing that was not in it.
func TestPruneRemovesWhatWasPlannedAlone(t *testing.T) {
	_, store, of := exportedTo(t, 5, &kollectv1alpha1.Retention{Keep: 1})
	want := []string{"5 " + isCurrent, "4 " + isOld, "3 " + isOld, "2 " + isOld, "1 " + isOld}
	check := func(want []string) {
		t.Helper()
		planned, err := store.Plan(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range planned {
			got = append(got, fmt.Sprintf("%d %s", p.Generation, p.Reason))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	check(want)
	check(want)
	if err := store.Prune(t.Context(), of, []int64{2, 5, 9}); err != nil {
		t.Fatal(err)
	}
	check([]string{"5 " + isCurrent, "4 " + isOld, "3 " + isOld, "1 " + isOld})
	store.retention = nil
	check([]string{"5 " + isCurrent, "4 " + isAnyway, "3 " + isAnyway, "1 " + isAnyway})
	if err := store.Prune(t.Context(), of, []int64{1}); err != nil {
		t.Fatal(err)
	}
	check([]string{"5 " + isCurrent, "4 " + isAnyway, "3 " + isAnyway, "1 " + isAnyway})
}

// Ages are the destination's: neither the clock of who exports nor that of who
// prunes makes anything old.
func TestPruneGoesByTheDestinationsClock(t *testing.T) {
	for _, off := range []time.Duration{-50 * time.Hour, 50 * time.Hour} {
		d, store, of := exportedTo(t, 1, &kollectv1alpha1.Retention{Keep: 1})
		store.minAge = time.Hour
		store.now = func() time.Time { return time.Now().Add(off) }
		s := sinktest.NewSample(of.Ref)
		if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 2, Time: store.now()}); err != nil {
			t.Fatal(err)
		}
		planned, err := store.Plan(t.Context(), of)
		if err != nil || len(planned) != 2 || planned[1].Reason != isYoung {
			t.Errorf("%s off: %v, %v", off, planned, err)
		}
		if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 2 {
			t.Errorf("%s off: a reader sees %v, %v", off, content, err)
		}
	}
}
