package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// oldGenerations returns a folder with four generations of each of two inventories;
// all but the last went out of use long ago, if that is a nanosecond.
func oldGenerations(t *testing.T) *objectstore.Store {
	t.Helper()
	root := t.TempDir()
	spec := kollectv1alpha1.ObjectStoreSink{URL: "file:///lake"}
	open := func() *objectstore.Store {
		store, err := objectstore.Open(t.Context(), spec, nil, objectstore.Options{FileRoot: root, MinAge: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		return store
	}
	store := open()
	for _, ref := range []inventory.Ref{{Namespace: "team-a", Name: "apps"}, {Name: "platform"}} {
		s := sinktest.NewSampleOf("prod", ref)
		for generation := int64(1); generation <= 4; generation++ {
			s.Set("web", fmt.Sprint("nginx:", generation))
			if _, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
	}
	spec.Retention = &kollectv1alpha1.Retention{Keep: 2}
	return open()
}

func TestPruneRemovesWhatWasAgreedTo(t *testing.T) {
	for _, tc := range []struct {
		name, answer   string
		change         func(*prune)
		apps, platform int // generations that are left
		err, out       string
	}{
		{"the cluster's name is typed", "prod\n", func(*prune) {}, 2, 2, "", "Removed 4 generations"},
		{"one inventory", "", func(p *prune) { p.yes, p.inventories = true, []string{"team-a/apps"} }, 2, 4, "", "Removed 2 generations"},
		{"a dry run", "prod\n", func(p *prune) { p.dryRun, p.yes = true, true }, 4, 4, "", "4 generations would be removed"},
		{"something else is typed", "yes\n", func(*prune) {}, 4, 4, "nothing was removed", "4 generations of 2 inventories"},
		{"another cluster", "", func(p *prune) { p.yes, p.cluster = true, "demo" }, 4, 4, "", "Nothing of cluster demo"},
		{"an inventory that is not there", "", func(p *prune) { p.yes, p.inventories = true, []string{"apps"} }, 4, 4, "holds none of that name", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := oldGenerations(t)
			var out, said bytes.Buffer
			p := &prune{forget{
				sinkFlags: sinkFlags{sink: "lake"}, cluster: "prod",
				streams: Streams{In: strings.NewReader(tc.answer), Out: &out, Err: &said},
			}}
			tc.change(p)
			err := p.prune(t.Context(), store)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) || !strings.Contains(said.String(), tc.out) {
				t.Errorf("error %v, want %q; said %q", err, tc.err, &said)
			}
			for ref, want := range map[inventory.Ref]int{{Namespace: "team-a", Name: "apps"}: tc.apps, {Name: "platform"}: tc.platform} {
				left, err := store.Plan(t.Context(), &inventory.Inventory{Cluster: "prod", Ref: ref})
				if err != nil || len(left) != want {
					t.Errorf("%v is left of %s, %v", left, ref, err)
				}
			}
		})
	}
}

func TestPruneSaysWhy(t *testing.T) {
	var out bytes.Buffer
	p := &prune{forget{sinkFlags: sinkFlags{sink: "lake"}, cluster: "prod", dryRun: true, streams: Streams{Out: &out, Err: &out}}}
	if err := p.prune(t.Context(), oldGenerations(t)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range [][2]string{
		{"INVENTORY GENERATION", "VERDICT REASON"}, {"platform 4", "ago keep current"}, {"platform 3", "ago keep among the newest"}, {"platform 2", "ago remove kept by no rule"},
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); !strings.HasPrefix(got, want[0]) || !strings.HasSuffix(got, want[1]) {
			t.Errorf("line %d is %q, want %q", i, got, want)
		}
	}
}

func TestPruneNeedsGenerations(t *testing.T) {
	p := &prune{forget{sinkFlags: sinkFlags{sink: "portal"}}}
	if err := p.prune(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "of type objectStore") {
		t.Errorf("error is %v", err)
	}
}
