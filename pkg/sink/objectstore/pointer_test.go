package objectstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// A pointer that is not ours is an error with the mend, and stays as it is.
func TestPointerOfAnotherProgram(t *testing.T) {
	d := inFolder(t, "json")
	if _, err := export(t, d.Open(t), 1); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(d.root, "tenant/lake/some/where", folderName, "_latest.json")
	ours, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string { return strings.ReplaceAll(string(ours), old, new) }
	for what, data := range map[string]string{
		"empty":              "",
		"cut":                string(ours[:len(ours)/2]),
		"not JSON":           "generation: 1\n",
		"JSON of others":     `{"latest": "generation=1.json"}`,
		"null":               "null",
		"another version":    replace("v1alpha1", "v9"),
		"another inventory":  replace(`"team-a"`, `"team-b"`),
		"another cluster":    replace(`"cluster": "demo"`, `"cluster": "prod"`),
		"no generation":      replace(`"generation": 1`, `"generation": 0`),
		"another generation": replace(`"generation": 1,`, `"generation": 2,`),
		"an endless generation": strings.NewReplacer(`"generation": 1,`, `"generation": 9223372036854775806,`,
			"generation=1.json", "generation=9223372036854775806.json").Replace(string(ours)),
		"data elsewhere": replace(folderName, "etc"),
		"too large":      string(ours) + strings.Repeat(" ", maxPointer),
	} {
		t.Run(what, func(t *testing.T) {
			if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
			store := d.Open(t)
			_, err := store.Mark(t.Context(), sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}).Snapshot().Inventory())
			for _, err := range []error{err, second(export(t, store, 9))} {
				if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "_latest.json") || !strings.Contains(err.Error(), "move it away") {
					t.Errorf("error is %v", err)
				}
			}
			if left, err := os.ReadFile(name); err != nil || string(left) != data {
				t.Errorf("the pointer was changed to %q, %v", left, err)
			}
		})
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := export(t, d.Open(t), 10); err != nil {
		t.Errorf("moved away: %v", err)
	}
}

// Two sinks of different formats at one place would fight for ever.
func TestPointerOfAnotherFormat(t *testing.T) {
	d := inFolder(t, "json")
	held, err := export(t, d.Open(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	other := *inFolder(t, "parquet")
	other.root = d.root
	of := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}).Snapshot().Inventory()
	store := other.Open(t)
	_, markErr := store.Mark(t.Context(), of)
	_, confirmErr := store.Confirm(t.Context(), of, held, exportTime)
	_, writeErr := export(t, store, 2)
	for _, err := range []error{markErr, confirmErr, writeErr} {
		if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "another spec.objectStore.prefix") {
			t.Errorf("error is %v, want a permanent one with the mend", err)
		}
	}
	again := d.Open(t)
	defer again.Close()
	if mark, err := again.Mark(t.Context(), of); err != nil || mark != held {
		t.Errorf("mark %v, %v; want what was held", mark, err)
	}
	other.spec.Prefix = "elsewhere"
	if _, err := export(t, other.Open(t), 2); err != nil {
		t.Errorf("at another prefix: %v", err)
	}
}

// Somebody restored an old pointer: it is one of ours, and the next export goes on
// from it, past the generations that are there.
func TestPointerThatWentBack(t *testing.T) {
	d := inFolder(t, "json")
	name := filepath.Join(d.root, "tenant/lake/some/where", folderName, "_latest.json")
	if _, err := export(t, d.Open(t), 1); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	held, err := export(t, d.Open(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, old, 0o644); err != nil {
		t.Fatal(err)
	}
	of := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}).Snapshot().Inventory()
	store := d.Open(t)
	if _, err := store.Confirm(t.Context(), of, held, exportTime); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("confirm what was current: %v", err)
	}
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 1 {
		t.Errorf("a reader sees %v, %v", content, err)
	}
	if _, err := export(t, store, 2); !errors.Is(err, sink.ErrFenced) {
		t.Errorf("over what is there: %v", err)
	}
	if mark, err := export(t, d.Open(t), 3); err != nil || mark.Generation != 3 {
		t.Errorf("the next: %v, %v", mark, err)
	}
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 3 {
		t.Errorf("a reader sees %v, %v", content, err)
	}
}

// Names that differ by case alone are two places, and where a file system takes them
// for one, the second is told so and changes nothing.
func TestNamesThatDifferByCase(t *testing.T) {
	d := inFolder(t, "json")
	if _, err := export(t, d.Open(t), 1); err != nil {
		t.Fatal(err)
	}
	s := sinktest.NewSampleOf("Demo", inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(3)
	store := d.Open(t)
	defer store.Close()
	if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 9, Time: exportTime}); err != nil {
		t.Fatal(err)
	}
	of := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}).Snapshot().Inventory()
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 1 {
		t.Errorf("of demo a reader sees %v, %v", content, err)
	}
	base := filepath.Join(d.root, "tenant/lake/some/where/inventory")
	if err := os.RemoveAll(filepath.Join(base, "cluster=Demo")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("cluster=demo", filepath.Join(base, "cluster=Demo")); err != nil { // as if they were one
		t.Fatal(err)
	}
	_, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 10, Time: exportTime})
	if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "another inventory") {
		t.Errorf("error is %v", err)
	}
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 1 {
		t.Errorf("of demo a reader sees %v, %v", content, err)
	}
}

func TestNamesThatAreNotValidInPaths(t *testing.T) {
	for _, of := range []inventory.Inventory{
		{Cluster: "a/b", Ref: inventory.Ref{Namespace: "n", Name: "i"}},
		{Cluster: "a=b", Ref: inventory.Ref{Namespace: "n", Name: "i"}},
		{Cluster: "..", Ref: inventory.Ref{Namespace: "n", Name: "i"}},
		{Cluster: "", Ref: inventory.Ref{Namespace: "n", Name: "i"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "_cluster", Name: "i"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n", Name: "../i"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n"}},
		{Cluster: "prod\u00e9", Ref: inventory.Ref{Namespace: "n", Name: "i"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n", Name: "e\u0301"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n=m", Name: "i"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n", Name: "a/b"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n", Name: "i%2e"}},
		{Cluster: "c", Ref: inventory.Ref{Namespace: "n", Name: "i\n"}},
	} {
		if folder, err := folderOf(&of); err == nil || !sink.IsPermanent(err) {
			t.Errorf("%v: folder %q, %v", of, folder, err)
		}
	}
}
