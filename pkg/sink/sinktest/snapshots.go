package sinktest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
)

// TestSnapshots checks that a destination keeps the promises of
// sink.SnapshotStore. make returns a new, empty destination; if it is Faulty,
// the suite makes it fail too.
func TestSnapshots(t *testing.T, make func(t *testing.T) Snapshots) {
	for name, test := range map[string]func(*testing.T, Snapshots){
		"exports what changes":                 testChanges,
		"exports an empty snapshot":            testEmpty,
		"refuses an older or equal":            testFencing,
		"fences a store that was overtaken":    testOvertaken,
		"refuses what it does not go out from": testUnmoved,
		"confirms without writing rows":        testConfirm,
		"confirms only what is held":           testConfirmOther,
		"keeps inventories apart":              testApart,
		"writes nothing when cancelled":        testCancelled,
		"shows readers whole snapshots":        testReaders,
		"lets the newest of many writers win":  testWriters,
	} {
		t.Run(name, func(t *testing.T) { test(t, make(t)) })
	}
	forgetting(t, func(t *testing.T) forgetful { return forgetfulSnapshots(make(t)) })
	if _, ok := make(t).(Faulty); ok {
		t.Run("keeps the last export when interrupted", func(t *testing.T) { testInterrupted(t, make) })
		t.Run("costs nothing while idle", func(t *testing.T) { testIdle(t, make(t).(Faulty)) })
	}
}

var ref = inventory.Ref{Namespace: "team-a", Name: "apps"}

// at is the time of the export of a generation.
func at(generation int64) time.Time {
	return time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC).Add(time.Duration(generation) * time.Minute)
}

func open(t *testing.T, d Snapshots) sink.SnapshotStore {
	t.Helper()
	store := d.Open(t)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

func write(ctx context.Context, store sink.SnapshotStore, s *inventory.Snapshot, generation int64) (sink.Mark, error) {
	return store.Write(ctx, sink.Export{Snapshot: s, Generation: generation, Time: at(generation)})
}

// mustWrite exports and checks the mark that comes back and that Mark returns.
func mustWrite(t *testing.T, store sink.SnapshotStore, s *inventory.Snapshot, generation int64) sink.Mark {
	t.Helper()
	mark, err := write(t.Context(), store, s, generation)
	if err != nil {
		t.Fatalf("write generation %d: %v", generation, err)
	}
	want := sink.Mark{
		Generation: generation, Hash: s.Hash().String(), Schema: store.Schema(s.Inventory()),
		Rows: int64(s.Len()), Time: at(generation),
	}
	if diff := cmp.Diff(want, mark); diff != "" {
		t.Fatalf("mark of write: -want +got\n%s", diff)
	}
	mustMark(t, store, s.Inventory(), want)
	return mark
}

func mustMark(t *testing.T, store sink.SnapshotStore, of *inventory.Inventory, want sink.Mark) {
	t.Helper()
	got, err := store.Mark(t.Context(), of)
	if err != nil {
		t.Fatalf("mark: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("mark: -want +got\n%s", diff)
	}
}

func mustRead(t *testing.T, d Snapshots, s *inventory.Snapshot, generation int64) {
	t.Helper()
	got, err := d.Read(t.Context(), s.Inventory())
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if diff := cmp.Diff(contentOf(s, generation), got); diff != "" {
		t.Fatalf("a reader sees: -want +got\n%s", diff)
	}
}

func mustBeFenced(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, sink.ErrFenced) {
		t.Fatalf("error is %v, want ErrFenced", err)
	}
}

func testChanges(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	mustMark(t, store, s.Snapshot().Inventory(), sink.Mark{})
	steps := []func(){
		func() { s.Set("web", "nginx:1.27"); s.Set("api", "nginx:1.27") },
		func() { s.Set("web", "nginx:1.28") },
		func() { s.Delete("api") },
		func() { s.Set("api", "nginx:1.29"); s.SetAttributes("odd", `{"image":"a\"\\\u2028","replicas":-1}`) },
		func() { s.Fill(2000) },
	}
	for i, step := range steps {
		step()
		generation := int64(7 + 3*i) // gaps are fine
		mustWrite(t, store, s.Snapshot(), generation)
		mustRead(t, d, s.Snapshot(), generation)
	}
	again := open(t, d)
	mark, err := store.Mark(t.Context(), s.Snapshot().Inventory())
	if err != nil {
		t.Fatal(err)
	}
	mustMark(t, again, s.Snapshot().Inventory(), mark)
}

func testEmpty(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	mustWrite(t, store, s.Snapshot(), 1)
	mustRead(t, d, s.Snapshot(), 1)
	s.Fill(10)
	mustWrite(t, store, s.Snapshot(), 2)
	s.Delete()
	mustWrite(t, store, s.Snapshot(), 3)
	mustRead(t, d, s.Snapshot(), 3)
}

func testFencing(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	held := s.Snapshot()
	mark := mustWrite(t, store, held, 5)
	s.Set("web", "nginx:1.28")
	for _, generation := range []int64{5, 4, 1} {
		_, err := write(t.Context(), store, s.Snapshot(), generation)
		mustBeFenced(t, err)
		if sink.IsPermanent(err) {
			t.Errorf("the error is permanent: %v", err)
		}
	}
	mustMark(t, store, held.Inventory(), mark)
	mustRead(t, d, held, 5)
}

// testOvertaken is a leader that was paused while another took over.
func testOvertaken(t *testing.T, d Snapshots) {
	paused, leader := open(t, d), open(t, d)
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	old := s.Snapshot()
	mark := mustWrite(t, paused, old, 1)
	s.Set("web", "nginx:1.28")
	current := mustWrite(t, leader, s.Snapshot(), 3)
	_, err := write(t.Context(), paused, old, 2)
	mustBeFenced(t, err)
	_, err = paused.Confirm(t.Context(), old.Inventory(), mark, at(9))
	mustBeFenced(t, err)
	mustMark(t, paused, old.Inventory(), current)
	mustRead(t, d, s.Snapshot(), 3)
}

// testUnmoved is a leader whose snapshot was taken before the one before it, who was
// paused, wrote once more what it had seen: an older content of a newer generation.
func testUnmoved(t *testing.T, d Snapshots) {
	paused, leader := open(t, d), open(t, d)
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	base := mustWrite(t, leader, s.Snapshot(), 1)
	s.Set("web", "nginx:1.28")
	taken := s.Snapshot()
	s.Set("web", "nginx:1.29")
	current := mustWrite(t, paused, s.Snapshot(), 2)
	_, err := leader.Write(t.Context(), sink.Export{Snapshot: taken, Generation: 101, Time: at(101), Base: &base})
	mustBeFenced(t, err)
	mustMark(t, leader, taken.Inventory(), current)
	mustRead(t, d, s.Snapshot(), 2)
	_, err = leader.Write(t.Context(), sink.Export{Snapshot: taken, Generation: 102, Time: at(102), Base: &sink.Mark{}})
	mustBeFenced(t, err)
	if _, err := leader.Write(t.Context(), sink.Export{Snapshot: taken, Generation: 103, Time: at(103), Base: &current}); err != nil {
		t.Fatal(err)
	}
	mustRead(t, d, taken, 103)
}

func testConfirm(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	s.Fill(100)
	mark := mustWrite(t, store, s.Snapshot(), 1)
	for _, minute := range []int64{10, 11, 12} {
		got, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, at(minute))
		if err != nil {
			t.Fatal(err)
		}
		mark.Time = at(minute)
		if diff := cmp.Diff(mark, got); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		mustMark(t, store, s.Snapshot().Inventory(), mark)
	}
	if _, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), mark, at(3)); err != nil {
		t.Fatal(err)
	}
	mustMark(t, store, s.Snapshot().Inventory(), mark) // a clock that went back changes nothing
	mustRead(t, d, s.Snapshot(), 1)
	mustWrite(t, store, s.Snapshot(), 20)
}

func testConfirmOther(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	s.Set("web", "nginx:1.27")
	_, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), sink.Mark{Generation: 1, Hash: s.Snapshot().Hash().String()}, at(1))
	mustBeFenced(t, err)
	mark := mustWrite(t, store, s.Snapshot(), 2)
	for _, other := range []sink.Mark{
		{},
		{Generation: 1, Hash: mark.Hash, Schema: mark.Schema},
		{Generation: 2, Hash: "sha256:00", Schema: mark.Schema},
	} {
		_, err := store.Confirm(t.Context(), s.Snapshot().Inventory(), other, at(5))
		mustBeFenced(t, err)
	}
	mustMark(t, store, s.Snapshot().Inventory(), mark)
}

func testApart(t *testing.T, d Snapshots) {
	store := open(t, d)
	var samples []*Sample
	for i, ref := range []inventory.Ref{
		{Namespace: "team-a", Name: "apps"}, {Namespace: "team-b", Name: "apps"}, {Namespace: "team-a", Name: "apps.x"}, {Name: "apps"},
	} {
		s := NewSample(ref)
		s.Fill(3 + i)
		mustWrite(t, store, s.Snapshot(), int64(10-i))
		samples = append(samples, s)
	}
	for i, s := range samples {
		mustRead(t, d, s.Snapshot(), int64(10-i))
	}
}

func testCancelled(t *testing.T, d Snapshots) {
	store := open(t, d)
	s := NewSample(ref)
	s.Fill(10)
	held := s.Snapshot()
	mark := mustWrite(t, store, held, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Fill(5000)
	if _, err := write(ctx, store, s.Snapshot(), 2); err == nil {
		t.Fatal("a cancelled write succeeded")
	}
	mustMark(t, store, held.Inventory(), mark)
	mustRead(t, d, held, 1)
	mustWrite(t, store, s.Snapshot(), 3)
	mustRead(t, d, s.Snapshot(), 3)
}
