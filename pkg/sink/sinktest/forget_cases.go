package sinktest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

func testForget(t *testing.T, d forgetful) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	o := d.open(t, of)
	if refs := mustList(t, o, of.Cluster); len(refs) != 0 {
		t.Errorf("an empty destination lists %v", refs)
	}
	for i, rows := range []int{3000, 0, 1} {
		s.Delete()
		s.Fill(rows)
		generation := int64(10 * (i + 1))
		o.export(t, s.Snapshot(), generation)
		if refs := mustList(t, o, of.Cluster); !slices.Equal(refs, []inventory.Ref{ref}) {
			t.Errorf("of %s is listed %v", ref, refs)
		}
		d.mustForget(t, o, of, generation+3) // gaps are fine
	}
}

func testForgetNothing(t *testing.T, d forgetful) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	o := d.open(t, of)
	d.mustForget(t, o, of, 4)
	s.Fill(10)
	mustBeFenced(t, o.tryExport(t.Context(), s.Snapshot(), 4))
	o.export(t, s.Snapshot(), 5)
}

func testForgetAgain(t *testing.T, d forgetful) {
	s := NewSample(ref)
	s.Fill(10)
	of := s.Snapshot().Inventory()
	o := d.open(t, of)
	o.export(t, s.Snapshot(), 1)
	d.mustForget(t, o, of, 5)
	for _, other := range []*owner{o, d.open(t, of)} {
		for _, generation := range []int64{5, 4} {
			if err := other.Forget(t.Context(), of, generation, at(9)); err != nil {
				t.Fatalf("forget under generation %d again: %v", generation, err)
			}
			d.mustBeForgotten(t, other, of, 5)
		}
	}
	d.mustForget(t, d.open(t, of), of, 7)
}

func testForgetFenced(t *testing.T, d forgetful) {
	s := NewSample(ref)
	s.Fill(10)
	of := s.Snapshot().Inventory()
	o := d.open(t, of)
	o.export(t, s.Snapshot(), 5)
	before, err := o.Mark(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	for _, generation := range []int64{5, 4, 1} {
		mustBeFenced(t, o.Forget(t.Context(), of, generation, at(9)))
	}
	after, err := o.Mark(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a fenced call changed the mark: -before +after\n%s", diff)
	}
	d.mustRead(t, s.Snapshot(), 5)
	d.mustForget(t, o, of, 6)
}

// testForgetOne has several clusters and inventories, whose names start alike, in
// one destination.
func testForgetOne(t *testing.T, d forgetful) {
	refs := []inventory.Ref{{Name: "apps"}, {Namespace: "apps", Name: "apps"}, {Namespace: "team-a", Name: "apps"}, {Namespace: "team-a", Name: "apps-2"}, {Namespace: "team-a", Name: "apps.x"}}
	clusters := []string{"demo", "demo-2", "Demo"}
	type one struct {
		*owner
		sample *Sample
	}
	all := map[string]map[inventory.Ref]one{}
	for i, cluster := range clusters {
		process := d.process(t)
		all[cluster] = map[inventory.Ref]one{}
		for j, ref := range refs {
			s := NewSampleOf(cluster, ref)
			s.Fill(3 + i + j)
			o := process(s.Snapshot().Inventory())
			o.export(t, s.Snapshot(), 5)
			all[cluster][ref] = one{o, s}
		}
	}
	lists := d.open(t, NewSample(ref).Snapshot().Inventory())
	check := func() {
		t.Helper()
		for _, cluster := range clusters {
			var want []inventory.Ref
			for _, ref := range refs {
				if o, there := all[cluster][ref]; there {
					want = append(want, ref)
					d.mustRead(t, o.sample.Snapshot(), 5)
				}
			}
			if got := mustList(t, lists, cluster); !slices.Equal(got, want) {
				t.Errorf("of cluster %s %v is listed, want %v", cluster, got, want)
			}
		}
	}
	forget := func(cluster string, ref inventory.Ref) {
		t.Helper()
		o := all[cluster][ref]
		d.mustForget(t, o.owner, o.sample.Snapshot().Inventory(), 6)
		delete(all[cluster], ref)
	}
	check()
	forget("demo", inventory.Ref{Namespace: "team-a", Name: "apps"})
	check()
	for _, ref := range refs {
		forget("demo-2", ref)
	}
	check()
}

func testExportForgotten(t *testing.T, d forgetful) {
	s := NewSample(ref)
	s.Fill(50)
	of := s.Snapshot().Inventory()
	first, other := d.open(t, of), d.open(t, of)
	for generation := int64(1); generation < 10; generation += 4 {
		first.export(t, s.Snapshot(), generation)
		d.mustForget(t, other, of, generation+1)
		s.Set("web", fmt.Sprintf("nginx:1.%d", generation))
		first.export(t, s.Snapshot(), generation+2) // all rows, not what changed
		s.Delete(fmt.Sprintf("app-%07d", generation))
		s.Set("web", "nginx:1.0")
		first.export(t, s.Snapshot(), generation+3)
	}
}

// testPausedForgotten has a leader wake up that was paused before.
func testPausedForgotten(t *testing.T, d forgetful) {
	s := NewSample(ref)
	of := s.Snapshot().Inventory()
	paused := d.open(t, of)
	s.Fill(20)
	if err := paused.tryExport(t.Context(), s.Snapshot(), 1); err != nil {
		t.Fatal(err)
	}
	mark, err := paused.Mark(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	d.mustForget(t, d.open(t, of), of, 4)
	s.Set("web", "nginx:1.27")
	for generation := int64(2); generation <= 4; generation++ {
		mustBeFenced(t, paused.tryExport(t.Context(), s.Snapshot(), generation))
	}
	for _, m := range []sink.Mark{mark, {Generation: 4, Forgotten: true}, {Generation: 4}} {
		_, err := paused.Confirm(t.Context(), of, m, at(9))
		mustBeFenced(t, err)
	}
	d.mustBeForgotten(t, paused, of, 4)
	paused.export(t, s.Snapshot(), 5)
}

// testForgetInterrupted ends a call at each of its steps in turn, in each way.
func testForgetInterrupted(t *testing.T, make func(t *testing.T) forgetful) {
	for how, name := range map[Interruption]string{Refused: "refused", Cut: "cut", Unanswered: "unanswered"} {
		for n, more := 0, true; more; n++ {
			if n == 1000 {
				t.Fatal("forgetting has no end of steps")
			}
			if !t.Run(fmt.Sprintf("%s at step %d", name, n), func(t *testing.T) {
				more = forgetInterruptedAt(t, make(t), n, how)
			}) {
				return // it did not come to say whether there are more
			}
		}
	}
}

// forgetInterruptedAt reports whether there was a step to interrupt.
func forgetInterruptedAt(t *testing.T, d forgetful, n int, how Interruption) bool {
	s := NewSample(ref)
	s.Fill(6)
	of := s.Snapshot().Inventory()
	o := d.open(t, of)
	o.export(t, s.Snapshot(), 1)
	d.faults.Interrupt(n, how)
	err := o.Forget(t.Context(), of, 2, at(2))
	interrupted := d.faults.Interrupted()
	d.faults.Interrupt(-1, how)
	switch {
	case err == nil:
		d.mustBeForgotten(t, o, of, 2)
	case !interrupted:
		t.Fatalf("a call that was not interrupted: %v", err)
	}
	got, err := d.read(t.Context(), of)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	held := plain(contentOf(s.Snapshot(), 1))
	if got != nil {
		for key, attributes := range plain(got).Rows {
			if held.Rows[key] != attributes {
				t.Errorf("row %s was made up", key)
			}
		}
	}
	again := d.open(t, of)
	mark, err := again.Mark(t.Context(), of)
	if err != nil {
		t.Fatalf("mark: %v", err)
	}
	if mark.Generation > 2 || mark.Hash != "" && mark.Rows != int64(len(held.Rows)) {
		t.Fatalf("the mark is %+v", mark)
	}
	if n%2 == 0 { // else an export comes first
		d.mustForget(t, again, of, mark.Generation+1)
	}
	s.Set("web", "nginx:1.27")
	again.export(t, s.Snapshot(), 5)
	d.mustForget(t, o, of, 6)
	return interrupted
}
