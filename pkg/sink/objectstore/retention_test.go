package objectstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// generations returns objects of complete generations, of the given ages.
func generations(now time.Time, ages ...time.Duration) []object {
	var objects []object
	for i, age := range ages {
		objects = append(objects,
			object{fmt.Sprintf("generation=%d.parquet", i+1), now.Add(-age)},
			object{fmt.Sprintf("_manifests/%d.json", i+1), now.Add(-age)})
	}
	return append(objects, object{"_latest.json", now})
}

var clock = time.Date(2026, 11, 21, 22, 33, 0, 0, time.UTC)

func TestExpired(t *testing.T) {
	hours := func(n ...float64) (ages []time.Duration) {
		for _, h := range n {
			ages = append(ages, time.Duration(h*float64(time.Hour)))
		}
		return ages
	}
	for name, tc := range map[string]struct {
		objects   []object
		retention kollectv1alpha1.Retention
		want      string // generations
	}{
		"the newest":             {generations(clock, hours(9, 8, 7, 6, 5, 0)...), kollectv1alpha1.Retention{Keep: 3}, "1 2 3"},
		"fewer than to keep":     {generations(clock, hours(9, 8, 0)...), kollectv1alpha1.Retention{Keep: 10}, ""},
		"none to keep means one": {generations(clock, hours(9, 8, 7, 0)...), kollectv1alpha1.Retention{}, "1 2"},
		"the young":              {generations(clock, hours(9, 1.2, 0.5, 0)...), kollectv1alpha1.Retention{Keep: 1}, "1"},
		"current a moment ago":   {generations(clock, hours(150, 120, 0)...), kollectv1alpha1.Retention{Keep: 1}, "1"},
		"the last of each hour": {
			// 18:03 18:33 19:03 19:33 20:03 20:33, and now
			generations(clock, hours(4.5, 4, 3.5, 3, 2.5, 2, 0)...), kollectv1alpha1.Retention{Keep: 1, Hourly: 4}, "1 2 3 5",
		},
		"the last of each day": {
			generations(clock, hours(72, 60, 49, 47, 30, 24, 23, 0)...), kollectv1alpha1.Retention{Keep: 1, Daily: 3}, "1 2 3 5 6",
		},
		"of exports that did not end": {
			append(generations(clock, hours(9, 8, 0)...), object{"generation=9.parquet", clock.Add(-5 * time.Hour)}), kollectv1alpha1.Retention{Keep: 2}, "1",
		},
		"left behind before the current": {
			[]object{{"generation=1.parquet", clock.Add(-5 * time.Hour)}, {"_manifests/2.json", clock.Add(-4 * time.Hour)}, {"generation=3.parquet", clock}, {"_manifests/3.json", clock}},
			kollectv1alpha1.Retention{Keep: 10, Hourly: 100, Daily: 100}, "1 2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			current := int64(0)
			for _, o := range tc.objects {
				if n, isManifest, ok := generationOf(o.key); ok && isManifest {
					current = max(current, n)
				}
			}
			var got []string
			for _, key := range expired(listing{objects: tc.objects}, inUse{current: current}, tc.retention, time.Hour) {
				n, _, ok := generationOf(key)
				if !ok {
					t.Fatalf("removes %s", key)
				}
				got = append(got, fmt.Sprint(n))
			}
			if diff := cmp.Diff(tc.want, strings.Join(slices.Compact(got), " ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestExpiredLeavesOthersAlone(t *testing.T) {
	old := clock.Add(-100 * time.Hour)
	objects := []object{
		{"_latest.json", clock}, {".lock", old}, {"README.md", old}, {"generation=1.csv", old}, {"generation=01.json", old},
		{"generation=x.json", old}, {"_manifests/1.yaml", old}, {"deep/generation=1.json", old}, {"generation=-1.json", old},
		{".tmp-ABC", old}, {"_manifests/.tmp-DEF", old}, {".tmp-young", clock},
	}
	want := []string{".tmp-ABC", "_manifests/.tmp-DEF"}
	if diff := cmp.Diff(want, expired(listing{objects: objects}, inUse{current: 9}, kollectv1alpha1.Retention{Keep: 1}, time.Hour)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Whatever part of a folder is listed, nothing goes that would stay if all of it
// were; and what stays once, stays until it is too old.
func TestExpiredOfAPart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var ages []time.Duration
		for age := time.Duration(r.IntN(300)) * time.Hour; age > 0; age -= time.Duration(r.IntN(400)) * time.Minute {
			ages = append(ages, age)
		}
		objects := generations(clock, append(ages, 0)...)
		retention := kollectv1alpha1.Retention{Keep: int32(r.IntN(5)), Hourly: int32(r.IntN(20)), Daily: int32(r.IntN(10))}
		current := int64(len(ages) + 1)
		for i := 0; i < len(objects)-2; i += 2 * (1 + r.IntN(20)) { // exports that did not end
			objects[i+1].key = "README.md"
		}
		all := expired(listing{objects: objects}, inUse{current: current}, retention, time.Hour)
		var part []object
		for _, o := range objects {
			n, isManifest, ok := generationOf(o.key)
			switch {
			case !ok || n == current, n%4 > 1, n%4 == 1 && isManifest:
				part = append(part, o)
			}
		}
		for _, key := range expired(listing{part, true}, inUse{current: current}, retention, time.Hour) {
			if !slices.Contains(all, key) {
				t.Fatalf("%s goes when a part is seen, and stays otherwise", key)
			}
		}
	}
}

// Manifests come first in a list, so that one which is cut short has no data.
func TestExpiredOfManifestsAlone(t *testing.T) {
	var objects []object
	for i := range 30 {
		objects = append(objects, object{fmt.Sprintf("_manifests/%d.json", i+1), clock.Add(time.Duration(i-29) * 24 * time.Hour)})
	}
	retention := kollectv1alpha1.Retention{Keep: 1, Daily: 28}
	want := []string{"_manifests/1.json", "_manifests/2.json"}
	if diff := cmp.Diff(want, expired(listing{objects, true}, inUse{current: 30}, retention, time.Hour)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Retention runs after exports and leaves the current generation readable.
func TestRetentionRunsAfterExports(t *testing.T) {
	d := inFolder(t, "ndjson")
	d.spec.Retention = &kollectv1alpha1.Retention{Keep: 2}
	now := exportTime
	store, err := Open(t.Context(), d.spec, nil, Options{FileRoot: d.root, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	store.minAge = 0
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	for generation := int64(1); generation <= 6; generation++ {
		now = now.Add(time.Minute)
		s.Set("web", fmt.Sprint("nginx:", generation))
		if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	manifests, err := filepath.Glob(filepath.Join(d.root, "tenant/lake/some/where", folderName, "_manifests", "*"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := filepath.Glob(filepath.Join(d.root, "tenant/lake/some/where", folderName, "generation=*"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range append(data, manifests...) {
		if base := filepath.Base(name); base != lockName {
			names = append(names, base)
		}
	}
	if diff := cmp.Diff([]string{"generation=5.ndjson", "generation=6.ndjson", "5.json", "6.json"}, names); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	content, err := d.Read(t.Context(), s.Snapshot().Inventory())
	if err != nil || content.Generation != 6 {
		t.Errorf("a reader sees %v, %v", content, err)
	}
}

// cutList is a bucket that lists as many manifests as it may, of one a day.
type cutList struct {
	bucket
	removed []string
}

func (b *cutList) list(_ context.Context, prefix string, limit int) ([]object, error) {
	objects := make([]object, limit)
	for i := range objects {
		objects[i] = object{fmt.Sprintf("%s_manifests/%d.json", prefix, i+1), clock.Add(time.Duration(i-limit) * 24 * time.Hour)}
	}
	return objects, nil
}

func (b *cutList) remove(_ context.Context, key string) error {
	b.removed = append(b.removed, key)
	return nil
}

func TestRetentionOfAListThatIsCutKeepsWhatItShould(t *testing.T) {
	d := inFolder(t, "ndjson")
	d.spec.Retention = &kollectv1alpha1.Retention{Keep: 1, Daily: 3660}
	store := d.Open(t).(*Store)
	defer store.Close()
	cut := &cutList{bucket: store.bucket}
	store.bucket = cut
	store.retain(t.Context(), folderName+"/", maxListed)
	if len(cut.removed) != maxRemoved {
		t.Errorf("%d objects removed, want %d", len(cut.removed), maxRemoved)
	}
	cut.removed = nil
	store.retention.Daily = maxListed
	store.retained = map[string]time.Time{}
	store.retain(t.Context(), folderName+"/", maxListed)
	if len(cut.removed) > 0 {
		t.Errorf("%d objects removed of those to keep, such as %s", len(cut.removed), cut.removed[0])
	}
}

// An export succeeds though retention does not.
func TestRetentionFailureIsNoExportFailure(t *testing.T) {
	d := inFolder(t, "ndjson")
	d.spec.Retention = &kollectv1alpha1.Retention{Keep: 1}
	store := d.Open(t).(*Store)
	store.bucket = failingList{store.bucket}
	if mark, err := export(t, store, 3); err != nil || mark.Generation != 3 {
		t.Errorf("export: %v, %v", mark, err)
	}
}
