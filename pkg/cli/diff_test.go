package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// compared compares a sample with what the lake holds of it.
func (l *lake) compared(s *sinktest.Sample, waits func(inventory.TargetRef) bool) *difference {
	l.Helper()
	c := &comparison{held: map[inventory.Key]heldRow{}, waits: waits}
	if err := readHeld(l.Context(), l.store, s.Snapshot().Inventory(), c.held); err != nil {
		l.Fatal(err)
	}
	for e := range s.Snapshot().All() {
		c.row(e)
	}
	c.end()
	return &c.difference
}

func nobody(inventory.TargetRef) bool { return false }

func everybody(inventory.TargetRef) bool { return true }

func TestDiffShowsWhatAnExportWouldDo(t *testing.T) {
	l := newLake(t)
	s := sinktest.NewSampleOf("prod", inventory.Ref{Namespace: "team-a", Name: "new"})
	s.Set("api", "nginx:1.27")
	s.Set("old", "nginx:1.27")
	s.Set("web", "nginx:1.27")
	if d := l.compared(s, nobody); len(d.Added) != 3 || len(d.Changed)+len(d.Removed) != 0 {
		t.Errorf("of an empty destination: %+v", d)
	}
	l.export(s, longAgo)
	if d := l.compared(s, nobody); !d.empty() || d.Unchanged != 3 {
		t.Errorf("after an export: %+v", d)
	}
	s.Set("api", "nginx:1.28")
	s.Delete("old")
	s.Set("zoo", "nginx:1.27")
	var out bytes.Buffer
	if err := l.compared(s, nobody).write(&out, "text"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		if len(fields) == 4 { // a row, whose key is any
			fields = append(fields[:1], fields[2:]...)
		}
		got = append(got, strings.Join(fields, " "))
	}
	want := "+ Deployment.apps team-a/zoo\n~ Deployment.apps team-a/api\n- Deployment.apps team-a/old\n1 to add, 1 to change, 1 to remove, 1 unchanged"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if d := l.compared(s, everybody); !d.empty() || d.LeftAlone != 3 || d.Unchanged != 0 {
		t.Errorf("while targets are waited for: %+v", d)
	}
}

func TestDiffForPrograms(t *testing.T) {
	l := newLake(t)
	s := sinktest.NewSampleOf("prod", inventory.Ref{Name: "new"})
	s.Set("web", "nginx:1.27")
	var out bytes.Buffer
	if err := l.compared(s, nobody).write(&out, "json"); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Added []struct{ Key, Group, Kind, Namespace, Name, Target string }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Added) != 1 || got.Added[0].Group != "apps" || got.Added[0].Kind != "Deployment" || got.Added[0].Name != "web" ||
		got.Added[0].Target != "web" || len(got.Added[0].Key) != inventory.KeyLength {
		t.Errorf("got %s", &out)
	}
}

func TestFlagsThatDoNotFit(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"forget --sink x", "--cluster"},
		{"forget --cluster x", "--sink"},
		{"forget --cluster x --sink a --cluster-sink b", "--sink"},
		{"forget --cluster x --sink a extra", "unknown command"},
		{"diff --sink x", "--inventory"},
		{"diff --inventory x", "--sink"},
		{"diff --inventory x --cluster-inventory y --sink z", "--inventory"},
		{"diff --inventory x --sink y -o yaml", "--output"},
		{"diff --inventory x --sink y --kubeconfig /nowhere", "kubeconfig"},
		{"difference", "unknown command"},
	} {
		var out, errs bytes.Buffer
		status := Run(t.Context(), strings.Fields(tc.args), Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		if status != exitError || !strings.Contains(errs.String(), tc.want) {
			t.Errorf("kollect %s: status %d, %q, want %q", tc.args, status, &errs, tc.want)
		}
	}
}

func TestEachCommandTeaches(t *testing.T) {
	for _, command := range []string{"", "forget", "diff"} {
		var out bytes.Buffer
		status := Run(t.Context(), append(strings.Fields(command), "--help"), Streams{Out: &out, Err: &out})
		if status != 0 || !strings.Contains(out.String(), "Usage:") || command != "" && !strings.Contains(out.String(), "Examples:") {
			t.Errorf("kollect %s --help: status %d\n%s", command, status, &out)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimRight(line, "\n"); len(line) > 90 && !strings.Contains(line, "--") {
				t.Errorf("kollect %s --help has a line of %d characters: %s", command, len(line), line)
			}
		}
	}
}
