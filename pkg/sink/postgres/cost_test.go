package postgres

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kollect.io/kollect/pkg/export"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// heaps are how many bytes were in use at some moments.
type heaps []uint64

func (h *heaps) measure() {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	*h = append(*h, stats.HeapAlloc)
}

func (h heaps) mustBeWithin(t *testing.T, bound uint64) {
	t.Helper()
	if len(h) < 2 {
		t.Fatalf("memory was measured %d times", len(h))
	}
	for _, bytes := range h[1:] {
		if bytes > h[0]+bound {
			t.Errorf("memory grows: %d bytes in use", h)
			return
		}
	}
}

// versions returns which version of each line and row is there: any update makes
// another.
func versions(t *testing.T, d *destination) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range []string{"Rows_state", "Rows"} {
		text := ask[string](t, d.spec.Schema, `select string_agg(concat_ws(' ', tableoid::regclass, ctid, xmin), E'\n') from %s."`+table+`"`)
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			all[line] = table
		}
	}
	return all
}

// written returns of which tables there are versions that were not there before.
func written(before, after map[string]string) (tables []string) {
	for version, table := range after {
		if before[version] == "" {
			tables = append(tables, table)
		}
	}
	return tables
}

// An unchanged snapshot costs an update of one line an interval, whatever else the
// tables hold, also of a process that has just started.
func TestUnchangedContentCostsALine(t *testing.T) {
	d := newDestination(server.DSN("postgres"), "hard")
	store := d.open(t)
	defer store.Close()
	sample := sinktest.NewSample(ref)
	sample.Fill(1000)
	newChurn(store, sample).mustExport(t)
	newChurn(store, sinktest.NewSampleOf("other", ref)).mustExport(t)
	now := when
	request := func(after time.Duration) export.Request {
		now = now.Add(after)
		return export.Request{
			Snapshot: sample.Snapshot(), Settings: export.Settings{MinInterval: time.Minute}, Now: now,
			Generation: func(_ context.Context, _ *inventory.Snapshot, atLeast int64) (int64, error) { return atLeast, nil },
			Room:       func(context.Context, int) (func(), error) { return func() {}, nil },
		}
	}
	running := export.FromRelationalStore(store)
	for _, step := range []struct {
		what        string
		after       time.Duration
		destination export.Destination
		want        []string
	}{
		{"a start within the interval", time.Second, running, nil},
		{"an interval later", time.Minute, running, []string{"Rows_state"}},
		{"before the next", time.Second, running, nil},
		{"the next", time.Minute, running, []string{"Rows_state"}},
		{"a restart within the interval", time.Second, export.FromRelationalStore(store), nil},
		{"a restart after it", time.Hour, export.FromRelationalStore(store), []string{"Rows_state"}},
	} {
		before := versions(t, d)
		result, err := step.destination.Export(t.Context(), request(step.after))
		if err != nil || result.Outcome != export.Exported {
			t.Fatalf("%s: %+v, %v", step.what, result, err)
		}
		if diff := cmp.Diff(step.want, written(before, versions(t, d))); diff != "" {
			t.Errorf("%s changes: -want +got\n%s", step.what, diff)
		}
	}
}
