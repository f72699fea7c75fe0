package clouds_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// testDenied has each verb in turn denied to a sink that has exported before: it
// says what to allow, and readers keep what they have.
func testDenied(t *testing.T, d *destination) {
	behind, f := d.before(t)
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	of := s.Snapshot().Inventory()
	generation := int64(0)
	export := func() (sink.Mark, error) {
		t.Helper()
		store := behind.Open(t)
		defer store.Close()
		generation++
		return store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: when})
	}
	s.Set("web", "nginx:1")
	if _, err := export(); err != nil {
		t.Fatal(err)
	}
	for denied, do := range map[verb]func() error{
		get: func() error {
			store := behind.Open(t)
			defer store.Close()
			mark, err := store.Mark(t.Context(), of)
			if err == nil {
				return errors.New("a place that can't be read is taken for one that has " + mark.Hash)
			}
			_, err = export()
			return err
		},
		put: func() error { _, err := export(); return err },
		list: func() error {
			store := behind.Open(t)
			defer store.Close()
			_, err := store.Inventories(t.Context(), "demo")
			return err
		},
		drop: func() error {
			store := behind.Open(t)
			defer store.Close()
			other := sinktest.NewSample(inventory.Ref{Name: "platform"})
			if _, err := store.Write(t.Context(), sink.Export{Snapshot: other.Snapshot(), Generation: 1, Time: when}); err != nil {
				return err
			}
			return store.Forget(t.Context(), other.Snapshot().Inventory(), 2, when)
		},
	} {
		held, err := d.Read(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		f.deny(denied)
		err = do()
		f.answer(nil)
		if err == nil || !sink.IsPermanent(err) || !strings.Contains(err.Error(), "allow the sink's credentials") {
			t.Errorf("%s is denied: error %v (permanent: %t), want a permanent one with what to allow", denied, err, sink.IsPermanent(err))
		}
		if got, err := d.Read(t.Context(), of); err != nil || got.Generation != held.Generation || len(got.Rows) != len(held.Rows) {
			t.Errorf("%s is denied: a reader sees %v, %v", denied, got, err)
		}
	}
	s.Set("web", "nginx:2")
	if _, err := export(); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

// testBroken has the server fail in the middle of an upload in parts: once, which is
// tried again, and until the export's time is up.
func testBroken(t *testing.T, d *destination, part func(*http.Request) bool) {
	behind, f := d.before(t)
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	export := func(ctx context.Context, generation int64) error {
		store := behind.Open(t)
		defer store.Close()
		_, err := store.Write(ctx, sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: when})
		return err
	}
	if err := export(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	const rows = 2000
	fillLarge(s, rows) // three parts
	parts := 0
	fail := func(fails func() bool) {
		f.answer(func(w http.ResponseWriter, r *http.Request) bool {
			if !part(r) {
				return false
			}
			parts++
			if !fails() {
				return false
			}
			refuse(w, r, http.StatusInternalServerError, "InternalError", "InternalError", "backendError")
			return true
		})
	}
	fail(func() bool { return parts == 2 })
	if err := export(t.Context(), 2); err != nil || parts < 4 {
		t.Errorf("one failure of %d parts: %v", parts, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	parts = 0
	fail(func() bool {
		if parts > 1 {
			cancel()
		}
		return parts > 1
	})
	s.Set("web", "nginx:1")
	if err := export(ctx, 3); err == nil || sink.IsPermanent(err) {
		t.Errorf("the server fails from the second part on: error %v", err)
	}
	f.answer(nil)
	of := s.Snapshot().Inventory()
	if got, err := d.Read(t.Context(), of); err != nil || got.Generation != 2 || len(got.Rows) != rows {
		t.Errorf("a reader sees generation %d, %v", got.Generation, err)
	}
	if exists, err := d.reader.Exists(t.Context(), "some/where/inventory/cluster=demo/ns=team-a/name=apps/generation=3.ndjson"); err != nil || exists {
		t.Errorf("a part of an export is there: %t, %v", exists, err)
	}
	if err := export(t.Context(), 4); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// testSkewed has the server refuse the time at which requests were signed.
func testSkewed(t *testing.T, d *destination) {
	behind, f := d.before(t)
	f.answer(func(w http.ResponseWriter, r *http.Request) bool {
		refuse(w, r, http.StatusForbidden, "RequestTimeTooSkewed", "", "")
		return true
	})
	store := behind.Open(t)
	defer store.Close()
	_, err := store.Mark(t.Context(), sinktest.NewSample(inventory.Ref{Name: "platform"}).Snapshot().Inventory())
	if err == nil || sink.IsPermanent(err) || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("error is %v (permanent: %t)", err, sink.IsPermanent(err))
	}
}
