package export

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/component-base/metrics"

	"kollect.io/kollect/pkg/sink"
)

// metrics returns the metrics as name{sink,state} value, without times.
func (f *fixture) metrics() map[string]float64 {
	f.Helper()
	registry := metrics.NewKubeRegistry()
	if err := registry.CustomRegister(NewMetrics(func() *Exporter { return f.exporter })); err != nil {
		f.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		f.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if labels["namespace"] != ref.Namespace || labels["inventory"] != ref.Name {
				f.Errorf("%s of %v", family.GetName(), labels)
			}
			name := strings.TrimPrefix(family.GetName(), "kollect_export_") + " " + labels["sink"] + labels["state"]
			got[name] = metric.GetGauge().GetValue()
		}
	}
	return got
}

func TestMetricsSayHowFarASinkIs(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{}
		f.put(rows(3)...)
		f.synced(true, false, "")
		f.pair("lake", s, Settings{})
		start := time.Now()
		want := map[string]float64{
			"state lakeExported": 1, "generation lake": 1, "rows lake": 3, "last_success_timestamp_seconds lake": unix(start),
			"pending lake": 0, "lag_seconds lake": 0, "lag_generations lake": 0,
		}
		if diff := cmp.Diff(want, f.metrics()); diff != "" {
			t.Errorf("in step: %s", diff)
		}

		other := &fakeSink{}
		s.set(func() { s.fail = func(string) error { return errors.New("down") } })
		f.wait(time.Second)
		f.put(row("pod-0", "2"))
		f.wait(time.Second)
		f.pair("other", other, Settings{})
		f.put(row("pod-0", "3"))
		f.wait(time.Second)
		got := f.metrics()
		if retry := got["retry_timestamp_seconds lake"]; retry < unix(time.Now()) {
			t.Errorf("the next attempt was at %v", retry)
		}
		delete(got, "retry_timestamp_seconds lake")
		want = map[string]float64{
			"state lakeFailed": 1, "generation lake": 1, "rows lake": 3, "last_success_timestamp_seconds lake": unix(start),
			"pending lake": 1, "lag_seconds lake": 2, "lag_generations lake": 2,
			"state otherExported": 1, "generation other": 3, "rows other": 3, "last_success_timestamp_seconds other": unix(start.Add(2 * time.Second)),
			"pending other": 0, "lag_seconds other": 0, "lag_generations other": 0,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("while a sink is down: %s", diff)
		}
		s.set(func() { s.fail = nil })
		f.wait(time.Minute)
		if got := f.metrics(); got["pending lake"] != 0 || got["lag_seconds lake"] != 0 || got["lag_generations lake"] != 0 {
			t.Errorf("once the sink is up again: %v", got)
		}
	})
}

// A sink that is always one change behind, since writing takes longer than the next
// change, lags by what a write takes, however long that goes on.
func TestLagOfASlowSinkIsBounded(t *testing.T) {
	bubble(t, func(f *fixture) {
		s := &fakeSink{crash: func() { time.Sleep(3 * time.Second) }} // of the bubble's clock
		f.put(row("a", "0"))
		f.synced(true, false, "")
		f.exporter.Set(Pair{Inventory: ref, Sink: "lake", Destination: FromSnapshotStore(s)})
		for i := range 60 {
			f.store.Update(putRow(row("a", fmt.Sprint(i))))
			time.Sleep(time.Second)
		}
		if got := f.metrics(); got["pending lake"] != 1 || got["lag_seconds lake"] > 6 {
			t.Errorf("lag %v", got)
		}
		f.wait(time.Minute)
		if got := f.metrics(); got["pending lake"] != 0 {
			t.Errorf("pending once nothing changes: %v", got)
		}
		f.put(row("a", "written from now on"))
		f.wait(time.Second)
		f.put(row("a", "changed meanwhile"))
		f.wait(3 * time.Second) // the first is written, the second is being written
		if got := f.metrics(); got["pending lake"] != 1 || got["lag_seconds lake"] < 3 || got["lag_seconds lake"] > 4 {
			t.Errorf("lag of what changed during a write: %v", got)
		}
		f.wait(time.Minute)
	})
}

func TestMetricsSayWhoIsFenced(t *testing.T) {
	bubble(t, func(f *fixture) {
		f.restart(func(o *Options) { o.Leading = func(context.Context) (bool, error) { return false, nil } })
		f.synced(true, false, "")
		f.pair("lake", &fakeSink{fail: func(operation string) error {
			if operation == "write" {
				return sink.ErrFenced
			}
			return nil
		}}, Settings{})
		if got := f.metrics(); got["state lakeFenced"] != 1 || got["pending lake"] != 1 {
			t.Errorf("metrics %v", got)
		}
	})
}

func TestThereAreNoMetricsWhileAnotherLeads(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	if err := registry.CustomRegister(NewMetrics(func() *Exporter { return nil })); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%v, %v", families, err)
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
