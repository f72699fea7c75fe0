package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/objectstore"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// lake is a folder to which two clusters have exported.
type lake struct {
	*testing.T
	store    *objectstore.Store
	out, err bytes.Buffer
}

var longAgo = time.Now().Add(-time.Hour)

func newLake(t *testing.T) *lake {
	t.Helper()
	store, err := objectstore.Open(t.Context(), kollectv1alpha1.ObjectStoreSink{URL: "file:///lake"}, nil, objectstore.Options{FileRoot: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	l := &lake{T: t, store: store}
	for _, cluster := range []string{"gone", "prod"} {
		for i, ref := range []inventory.Ref{{Namespace: "team-a", Name: "apps"}, {Name: "platform"}} {
			s := sinktest.NewSampleOf(cluster, ref)
			s.Fill(3 + i)
			l.export(s, longAgo)
		}
	}
	return l
}

func (l *lake) export(s *sinktest.Sample, at time.Time) {
	l.Helper()
	mark, err := l.store.Mark(l.Context(), s.Snapshot().Inventory())
	if err == nil {
		_, err = l.store.Write(l.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: mark.Generation + 1, Time: at})
	}
	if err != nil {
		l.Fatal(err)
	}
}

// held returns what is held of a cluster, as namespace/name in order.
func (l *lake) held(cluster string) string {
	l.Helper()
	f := &forget{cluster: cluster}
	found, err := f.find(l.Context(), l.store)
	if err != nil {
		l.Fatal(err)
	}
	var names []string
	for _, h := range found {
		names = append(names, h.of.Ref.String())
	}
	return strings.Join(names, " ")
}

// run forgets as the command does once the sink is open.
func (l *lake) run(answer string, change func(*forget)) error {
	l.Helper()
	f := &forget{
		sinkFlags: sinkFlags{sink: "lake"}, cluster: "gone", staleAfter: sink.StaleAfter,
		streams: Streams{In: strings.NewReader(answer), Out: &l.out, Err: &l.err},
	}
	change(f)
	return f.forget(l.Context(), l.store)
}

func TestForgetRemovesWhatWasAgreedTo(t *testing.T) {
	const all = "platform team-a/apps"
	for _, tc := range []struct {
		name   string
		answer string
		change func(*forget)
		left   string
		err    string
	}{
		{"the cluster's name is typed", "gone\n", func(*forget) {}, "", ""},
		{"without a question", "", func(f *forget) { f.yes = true }, "", ""},
		{"one inventory", "", func(f *forget) { f.yes, f.inventories = true, []string{"team-a/apps"} }, "platform", ""},
		{"an inventory that is not there", "", func(f *forget) { f.yes, f.inventories = true, []string{"apps"} }, all, "holds none of that name of cluster gone, but platform, team-a/apps"},
		{"a dry run", "gone\n", func(f *forget) { f.dryRun, f.yes = true, true }, all, ""},
		{"something else is typed", "yes\n", func(*forget) {}, all, "nothing was removed"},
		{"nothing is typed", "", func(*forget) {}, all, "nothing was removed"},
		{"not so long ago", "gone\n", func(f *forget) { f.staleAfter = 2 * time.Hour }, all, "stop its server"},
		{"not so long ago, by force", "gone\n", func(f *forget) { f.staleAfter, f.force = 2*time.Hour, true }, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLake(t)
			err := l.run(tc.answer, tc.change)
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if left := l.held("gone"); left != tc.left {
				t.Errorf("%q is left, want %q", left, tc.left)
			}
			if left := l.held("prod"); left != all {
				t.Errorf("%q is left of another cluster", left)
			}
		})
	}
}

func TestForgetListsWhatGoes(t *testing.T) {
	l := newLake(t)
	if err := l.run("", func(f *forget) { f.dryRun, f.staleAfter = true, 2*time.Hour }); err != nil {
		t.Fatal(err)
	}
	want := "INVENTORY     ROWS   GENERATION   LAST CONFIRMED\nplatform      4      1            1h0m"
	if !strings.HasPrefix(l.out.String(), want) || !strings.Contains(l.err.String(), "would be refused") {
		t.Errorf("got\n%s\n%s", &l.out, &l.err)
	}
}

// Nobody who can't answer agrees.
func TestForgetAsksPeopleAlone(t *testing.T) {
	l := newLake(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("gone\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	err = l.run("", func(f *forget) { f.streams.In = file })
	if err == nil || !strings.Contains(err.Error(), "--yes") || l.held("gone") == "" {
		t.Errorf("error %v, and %q is left", err, l.held("gone"))
	}
}

// What is exported between the list and the answer stays.
func TestForgetRemovesNothingThatCameLater(t *testing.T) {
	l := newLake(t)
	f := &forget{cluster: "gone", streams: Streams{Err: &l.err}}
	found, err := f.find(t.Context(), l.store)
	if err != nil {
		t.Fatal(err)
	}
	s := sinktest.NewSampleOf("gone", inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(7)
	l.export(s, time.Now())
	err = f.forgetAll(t.Context(), l.store, found)
	if err == nil || !strings.Contains(err.Error(), "team-a/apps was exported again") {
		t.Errorf("error %v", err)
	}
	if left := l.held("gone"); left != "team-a/apps" {
		t.Errorf("%q is left, want what was exported again", left)
	}
}

func TestForgetAsksTheSinkWhatIsStale(t *testing.T) {
	spec := func(change func(*kollectv1alpha1.SinkSpec)) kollectv1alpha1.SinkSpec {
		var s kollectv1alpha1.SinkSpec
		change(&s)
		return s
	}
	hour := &metav1.Duration{Duration: time.Hour}
	postgres := spec(func(s *kollectv1alpha1.SinkSpec) { s.Postgres = &kollectv1alpha1.PostgresSink{StaleAfter: hour} })
	silent := spec(func(s *kollectv1alpha1.SinkSpec) { s.Git = &kollectv1alpha1.GitSink{} })
	for name, c := range map[string]struct {
		flag time.Duration
		spec kollectv1alpha1.SinkSpec
		want time.Duration
	}{
		"nobody says":   {0, kollectv1alpha1.SinkSpec{}, sink.StaleAfter},
		"the sink does": {0, postgres, time.Hour},
		"the flag does": {time.Minute, postgres, time.Minute},
		"git confirms":  {0, spec(func(s *kollectv1alpha1.SinkSpec) { s.Git = &kollectv1alpha1.GitSink{ConfirmInterval: hour} }), 3 * time.Hour},
		"git is silent": {0, silent, never},
		"git, the flag": {time.Minute, silent, time.Minute},
	} {
		f := &forget{staleAfter: c.flag}
		f.spec = c.spec
		if got := f.staleness(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Who can't tell whether a cluster still reports does not take it for gone.
func TestForgetRefusesWhatNobodyKnows(t *testing.T) {
	now := time.Now()
	old := held{&inventory.Inventory{Ref: inventory.Ref{Name: "platform"}}, sink.Mark{Generation: 3, Hash: "sha256:1", Time: now.Add(-9000 * time.Hour)}}
	timeless := old
	timeless.mark.Time = time.Time{}
	for name, c := range map[string]struct {
		forget  forget
		found   held
		refused bool
	}{
		"long ago":           {forget{staleAfter: sink.StaleAfter}, old, false},
		"no time":            {forget{staleAfter: sink.StaleAfter}, timeless, true},
		"nobody confirms":    {forget{staleAfter: never}, old, true},
		"no time, by force":  {forget{staleAfter: sink.StaleAfter, force: true}, timeless, false},
		"nobody, by force":   {forget{staleAfter: never, force: true}, old, false},
		"half of one export": {forget{staleAfter: sink.StaleAfter}, held{old.of, sink.Mark{}}, false},
	} {
		err := c.forget.refuseFresh([]held{c.found}, now)
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
