package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// unchanged restarts nothing itself: it returns a function that fails unless the
// place holds what it held when unchanged was called.
func (s *scene) unchanged(at place) func() {
	s.Helper()
	before, err := at.files()
	s.must(err)
	latest, _, err := at.read()
	s.must(err)
	return func() {
		s.Helper()
		after, err := at.files()
		s.must(err)
		if !slices.Equal(before, after) {
			s.Errorf("files were:\n%s\nand are:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
		}
		now, _, err := at.read()
		s.must(err)
		if now.Generation != latest.Generation || now.ContentHash != latest.ContentHash || now.Data != latest.Data {
			s.Errorf("exported: got %+v, want %+v still", now, latest)
		}
	}
}

// A restart rewrites nothing that is unchanged, and generations only rise, also
// for an inventory that is made again.
func TestARestartWritesNoNewGeneration(t *testing.T) {
	s := begin(t, "restarts")
	s.put("one", "1")
	s.put("two", "2")
	s.apply(settings + exported("lake", "json"))
	lake := s.exports(s.ns, "lake")
	latest := s.wantExport(lake, above(0, 2))

	for name, end := range map[string]func() error{"Stop": s.server.Stop, "Kill": s.server.Kill} {
		check := s.unchanged(lake)
		s.stop(end)
		s.must(s.server.Start(t.Context()))
		restarted := time.Now()
		s.wantRows("lake", "one=1", "two=2")
		s.wantExport(lake, confirmedSince(restarted)) // so it looked, and found it the same
		check()
		if t.Failed() {
			t.Fatalf("after %s", name)
		}
	}
	s.put("two", "3")
	latest = s.wantExport(lake, above(latest.Generation, 2))
	s.wantHead(s.ns, "lake", exportedAt(latest))

	t.Log("the inventory is made again, with a status that knows nothing")
	check := s.unchanged(lake)
	s.cp.MustKubectl(t, "delete", "kinv", "lake", "-n", s.ns)
	s.apply(exported("lake", "json"))
	remade := time.Now()
	s.wantExport(lake, confirmedSince(remade))
	check()
	s.put("two", "4")
	latest = s.wantExport(lake, above(latest.Generation, 2))
	s.wantHead(s.ns, "lake", exportedAt(latest))

	t.Log("and once more, while the server does not run and with other content")
	s.stop(s.server.Kill)
	s.cp.MustKubectl(t, "delete", "kinv", "lake", "-n", s.ns)
	s.put("two", "5")
	s.apply(exported("lake", "json"))
	s.must(s.server.Start(t.Context()))
	latest = s.wantExport(lake, above(latest.Generation, 2))
	s.wantHead(s.ns, "lake", exportedAt(latest))
}

// While kube-apiserver is down nothing is exported and nothing is removed. A
// server that starts then ends and says why, so that whoever runs it tries again.
func TestAnOutageIsNotExported(t *testing.T) {
	s := begin(t, "outage")
	s.put("one", "1")
	s.put("two", "2")
	s.apply(settings + exported("lake", "json") + `---
apiVersion: kollect.io/v1alpha1
kind: KollectTarget
metadata: {name: quiet, labels: {quiet: "yes"}}
spec: {profileRef: {name: settings}, names: [one]}
---
apiVersion: kollect.io/v1alpha1
kind: KollectInventory
metadata: {name: quiet}
spec: {targetSelector: {matchLabels: {quiet: "yes"}}, sinkRefs: [{name: lake}], exportMinInterval: 1s}
`)
	lake, quiet := s.exports(s.ns, "lake"), s.exports(s.ns, "quiet")
	first := s.wantExport(lake, above(0, 3))
	s.wantExport(quiet, above(0, 1))
	checkLake, checkQuiet := s.unchanged(lake), s.unchanged(quiet)

	t.Log("a server that runs keeps the rows and exports nothing")
	s.must(s.cp.StopAPIServer())
	s.until(func() error {
		return wantWords("the server's log", logOf(s.server.LogPath()), "connection refused")
	})
	checkLake()
	checkQuiet()
	s.must(s.cp.StartAPIServer(t.Context()))
	s.wantRows("lake", "one=1", "one=1", "two=2")

	t.Log("a server that starts meanwhile ends, and says why")
	s.stop(s.server.Kill)
	s.put("two", "3")
	s.must(s.cp.StopAPIServer())
	began := time.Now()
	err := s.server.Start(t.Context())
	if err == nil {
		t.Fatal("it is ready without kube-apiserver")
	}
	t.Logf("it ended after %s", time.Since(began).Round(time.Second))
	s.must(wantWords("why the server did not start", err.Error(), "it ended", "connection refused"))
	checkLake()
	checkQuiet()

	t.Log("what changed, and no more, is exported when it is back")
	s.must(s.cp.StartAPIServer(t.Context()))
	s.must(s.server.Start(t.Context()))
	back := time.Now()
	s.wantExport(quiet, confirmedSince(back))
	s.wantExport(lake, above(first.Generation, 3))
	checkQuiet()
	s.wantRows("quiet", "one=1")
}
