package export

import (
	"time"

	"k8s.io/component-base/metrics"

	"kollect.io/kollect/pkg/inventory"
)

// Metrics are the states of an exporter's pairs, read when they are asked for.
type Metrics struct {
	metrics.BaseStableCollector
	exporter func() *Exporter

	state, generation, rows, lastSuccess, retry *metrics.Desc
	pending, lagSeconds, lagGenerations         *metrics.Desc
}

// NewMetrics returns the metrics of what exporter returns then: nil, and there are
// none, while another process leads.
func NewMetrics(exporter func() *Exporter) *Metrics {
	desc := func(name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc("kollect_export_"+name, help, append([]string{"namespace", "inventory", "sink"}, labels...), nil, metrics.ALPHA, "")
	}
	return &Metrics{
		exporter:       exporter,
		state:          desc("state", "1 for how the newest attempt to export ended, such as Exported, Failed or Fenced.", "state"),
		generation:     desc("generation", "Export generation that the sink holds."),
		rows:           desc("rows", "Rows that the sink holds."),
		lastSuccess:    desc("last_success_timestamp_seconds", "When the content was last written or confirmed."),
		retry:          desc("retry_timestamp_seconds", "When the export is tried again that failed or waits."),
		pending:        desc("pending", "1 while there is content that the sink does not hold."),
		lagSeconds:     desc("lag_seconds", "For how long there has been content that the sink does not hold."),
		lagGenerations: desc("lag_generations", "How far the generation that the sink holds is behind the newest, or 1 if the newest content has none yet."),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (m *Metrics) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{m.state, m.generation, m.rows, m.lastSuccess, m.retry, m.pending, m.lagSeconds, m.lagGenerations} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (m *Metrics) CollectWithStability(ch chan<- metrics.Metric) {
	e := m.exporter()
	if e == nil {
		return
	}
	now := time.Now()
	for _, p := range e.progress() {
		labels := []string{p.inventory.Namespace, p.inventory.Name, p.state.Name}
		gauge := func(desc *metrics.Desc, value float64, more ...string) {
			ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, append(labels, more...)...)
		}
		gauge(m.state, 1, string(p.state.Outcome))
		if p.state.Generation > 0 {
			gauge(m.generation, float64(p.state.Generation))
			gauge(m.rows, float64(p.state.Rows))
		}
		for desc, t := range map[*metrics.Desc]time.Time{m.lastSuccess: p.state.LastSuccess, m.retry: p.state.RetryTime} {
			if !t.IsZero() {
				gauge(desc, float64(t.UnixMilli())/1000)
			}
		}
		var pending, seconds, generations float64
		if !p.behind.IsZero() {
			pending, seconds = 1, max(0, now.Sub(p.behind).Seconds())
			generations = float64(max(1, p.newest-p.state.Generation))
		}
		gauge(m.pending, pending)
		gauge(m.lagSeconds, seconds)
		gauge(m.lagGenerations, generations)
	}
}

// progress is how far a pair is.
type progress struct {
	inventory inventory.Ref
	state     State
	behind    time.Time // since when there is content that the sink does not hold; zero: there is none
	newest    int64     // generation that was handed out
}

func (e *Exporter) progress() []progress {
	state := e.options.Store.State()
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []progress
	for ref, pairs := range e.pairs {
		snapshot := state.Snapshot(ref)
		if snapshot == nil {
			continue
		}
		newest := e.options.Generations.Newest(ref, snapshot.Inventory().UID).Number
		for _, r := range pairs {
			all = append(all, progress{inventory: ref, state: r.state, behind: r.behind, newest: newest})
		}
	}
	return all
}

// reached notes that a loop's sink holds the snapshot that was the newest at a
// time.
func (e *Exporter) reached(l *loop, snapshot *inventory.Snapshot, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.pairs[l.pair.Inventory][l.pair.Sink]
	if r == nil || r.loop != l {
		return
	}
	r.behind = time.Time{}
	if newest := e.options.Store.State().Snapshot(l.pair.Inventory); newest != nil && newest.Hash() != snapshot.Hash() {
		r.behind = at
	}
}

// changed notes that there is content that the sink may not hold.
func (r *running) changed(hash inventory.ContentHash) {
	if r.behind.IsZero() && r.state.Hash != hash.String() {
		r.behind = time.Now()
	}
}
