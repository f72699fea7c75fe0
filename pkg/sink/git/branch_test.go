package git

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
	service "kollect.io/kollect/test/services/git"
)

var ref = inventory.Ref{Namespace: "team-a", Name: "apps"}

func export(t *testing.T, store sink.SnapshotStore, s *sinktest.Sample, generation int64) {
	t.Helper()
	if err := tryExport(t, store, s, generation); err != nil {
		t.Fatal(err)
	}
}

func tryExport(t *testing.T, store sink.SnapshotStore, s *sinktest.Sample, generation int64) error {
	t.Helper()
	_, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: generation, Time: time.Unix(1_795_000_000+generation, 0)})
	return err
}

func mustRead(t *testing.T, d *destination, s *sinktest.Sample, generation int64) {
	t.Helper()
	got, err := d.Read(t.Context(), s.Snapshot().Inventory())
	if err != nil {
		t.Fatal(err)
	}
	if got == nil || got.Generation != generation {
		t.Fatalf("a reader sees %v, want generation %d", got, generation)
	}
	if diff := sinktest.Differs(s.Snapshot(), got); diff != "" {
		t.Fatalf("a reader sees: -want +got\n%s", diff)
	}
}

func mustGit(t *testing.T, d *destination, arguments ...string) string {
	t.Helper()
	out, err := d.git(t.Context(), arguments...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func openStore(t *testing.T, d *destination) *Store {
	t.Helper()
	store := d.Open(t)
	t.Cleanup(func() { store.Close() })
	return store.(*Store)
}

// Whatever the server can do, what changed is what is sent, a reviewer sees but that,
// and a restart goes on without reading files back.
func TestChangesAreSmallOnServersOfAllKinds(t *testing.T) {
	current, old := start(t, service.Options{}), start(t, service.Options{Version0: true})
	for _, scheme := range []string{"https", "ssh"} {
		for _, c := range []struct {
			name     string
			server   *service.Server
			settings []string
		}{{"with filters", current, []string{filters}}, {"without filters", current, nil}, {"of version 0", old, nil}} {
			for _, layout := range []string{"document", "perResource"} {
				t.Run(scheme+" "+c.name+" "+layout, func(t *testing.T) {
					d := over(t, c.server, scheme, kollectv1alpha1.GitSink{Layout: layout}, c.settings...)
					testSmallChanges(t, d, len(c.settings) > 0)
				})
			}
		}
	}
}

func testSmallChanges(t *testing.T, d *destination, filters bool) {
	s := sinktest.NewSample(ref)
	s.Fill(30)
	s.Set("web", "nginx:1.27")
	export(t, openStore(t, d), s, 1)
	changes := []func(){
		func() { s.Set("web", "nginx:1.28") },
		func() { s.Set("web", "nginx:1.29") },
		func() { s.Set("web", "nginx:1.30") },
	}
	store := openStore(t, d) // as after a restart
	for i, change := range changes {
		change()
		export(t, store, s, int64(2+i))
		mustRead(t, d, s, int64(2+i))
		lines := mustGit(t, d, "diff", "--numstat", "main~1", "main", "--", ":!*/.kollect.json")
		if !strings.HasPrefix(lines, "1\t1\t") || strings.Contains(lines, "\n") {
			t.Errorf("a changed image is the diff\n%s", lines)
		}
	}
	s.Delete("web")
	export(t, openStore(t, d), s, 9)
	mustRead(t, d, s, 9)
	if !filters {
		return
	}
	for id := range store.branch.objects {
		if kind := mustGit(t, d, "cat-file", "-t", id.String()); kind == "blob" && !strings.Contains(mustGit(t, d, "cat-file", "-p", id.String()), manifestKind) {
			t.Errorf("blob %s was read back", id)
		}
	}
}

// Clusters that push to one branch at once lose nothing, of others neither.
func TestClustersPushToOneBranchAtOnce(t *testing.T) {
	d := over(t, start(t, service.Options{}), "https", kollectv1alpha1.GitSink{}, filters)
	commitFile(t, d, "README.md", "# ours\n")
	const clusters, rounds = 4, 6
	var all sync.WaitGroup
	samples := make([]*sinktest.Sample, clusters)
	for i := range clusters {
		samples[i] = sinktest.NewSampleOf(fmt.Sprintf("cluster-%d", i), ref)
		store := openStore(t, d)
		all.Go(func() {
			for generation := int64(1); generation <= rounds; generation++ {
				samples[i].Set("web", fmt.Sprintf("nginx:1.%d", generation))
				if err := tryExport(t, store, samples[i], generation); err != nil {
					t.Errorf("cluster %d, generation %d: %v", i, generation, err)
				}
			}
		})
	}
	all.Wait()
	for _, s := range samples {
		mustRead(t, d, s, rounds)
	}
	if n := mustGit(t, d, "rev-list", "--count", "main"); n != fmt.Sprint(clusters*rounds+1) {
		t.Errorf("%s commits, want %d", n, clusters*rounds+1)
	}
	if got := mustGit(t, d, "show", "main:README.md"); got != "# ours" {
		t.Errorf("the others' file is %q", got)
	}
	if _, err := d.git(t.Context(), "fsck", "--strict", "--full"); err != nil {
		t.Error(err)
	}
}

// commitFile has somebody else push a file.
func commitFile(t *testing.T, d *destination, name, content string) {
	t.Helper()
	work := t.TempDir()
	git := func(arguments ...string) {
		t.Helper()
		arguments = append([]string{"-c", "user.name=other", "-c", "user.email=other@example.com"}, arguments...)
		if _, err := service.Run(t.Context(), work, nil, arguments...); err != nil {
			t.Fatal(err)
		}
	}
	origin := mustGit(t, d, "rev-parse", "--absolute-git-dir")
	git("clone", "--quiet", origin, ".")
	if err := os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	git("add", "--all")
	git("commit", "--quiet", "--message=other")
	git("push", "--quiet", "origin", "HEAD:refs/heads/main")
}

// What others put into the folder stays, in both layouts, and a history that was
// rewritten is gone on from.
func TestForeignFilesAndHistory(t *testing.T) {
	server := start(t, service.Options{})
	for _, layout := range []string{"document", "perResource"} {
		t.Run(layout, func(t *testing.T) {
			d := over(t, server, "https", kollectv1alpha1.GitSink{Layout: layout}, filters)
			store := openStore(t, d)
			s := sinktest.NewSample(ref)
			s.Set("web", "nginx:1.27")
			export(t, store, s, 1)
			const note = "demo/team-a/apps/notes/README.md"
			commitFile(t, d, note, "note\n")
			s.Set("api", "nginx:1.27")
			export(t, store, s, 2)
			if got := mustGit(t, d, "show", "main:"+note); got != "note" {
				t.Errorf("the others' file is %q", got)
			}
			mustGit(t, d, "update-ref", "refs/heads/main", "main~2") // generation 1
			s.Delete("web")
			export(t, store, s, 3)
			mustGit(t, d, "show", "main:demo/team-a/apps/"+manifestName)
			if _, err := d.git(t.Context(), "show", "main:"+note); err == nil {
				t.Error("what was rewritten away is there again")
			}
			mustRead(t, d, s, 3)
			mustGit(t, d, "update-ref", "-d", "refs/heads/main")
			if mark, err := store.Mark(t.Context(), s.Snapshot().Inventory()); err != nil || mark != (sink.Mark{}) {
				t.Errorf("mark of a branch that is gone: %+v, %v", mark, err)
			}
			export(t, store, s, 4)
			mustRead(t, d, s, 4)
		})
	}
}

// Confirming makes a commit but every so often, if at all.
func TestConfirmInterval(t *testing.T) {
	server := start(t, service.Options{})
	for interval, want := range map[time.Duration]string{0: "1", time.Hour: "3"} {
		d := over(t, server, "https", kollectv1alpha1.GitSink{ConfirmInterval: &metav1.Duration{Duration: interval}}, filters)
		store := openStore(t, d)
		s := sinktest.NewSample(ref)
		s.Set("web", "nginx:1.27")
		begin := time.Unix(1_795_000_000, 0)
		mark, err := store.Write(t.Context(), sink.Export{Snapshot: s.Snapshot(), Generation: 1, Time: begin})
		if err != nil {
			t.Fatal(err)
		}
		of := s.Snapshot().Inventory()
		for minute := range 15 {
			at := begin.Add(time.Duration(minute) * 10 * time.Minute)
			if mark, err = store.Confirm(t.Context(), of, mark, at); err != nil || !mark.Time.Equal(at) {
				t.Fatalf("confirmed at %v: %v, %v", at, mark.Time, err)
			}
		}
		if n := mustGit(t, d, "rev-list", "--count", "main"); n != want {
			t.Errorf("with confirmInterval %v there are %s commits, want %s", interval, n, want)
		}
		mustRead(t, d, s, 1)
	}
}

// Names differ by more than case, are not what file systems do not take, and tell
// what they are of.
func TestSafeNames(t *testing.T) {
	names := []string{"web", "Web", "WEB", "con", "aux.x", "..", ".", ".git", "a/b", "a\\b", "a:b", "\u00e9", "e\u0301", "x.", "a b", "%61ux", "git~1", "_cluster", "com1", "", strings.Repeat("é", 200)}
	seen := map[string]string{}
	for _, name := range names {
		safe := safeName(name)
		if other, ok := seen[strings.ToLower(safe)]; ok {
			t.Errorf("%q and %q are both %q", name, other, safe)
		}
		seen[strings.ToLower(safe)] = name
		if len(safe) > maxName || safe == "." || safe == ".." || strings.ContainsAny(safe, "/\\: ~") || strings.EqualFold(safe, ".git") || strings.ToLower(safe) != safe {
			t.Errorf("%q is %q", name, safe)
		}
	}
	for name, want := range map[string]string{"web-1.x": "web-1.x", "system:node": "system%3anode", "aux": "%61ux", ".x": "%2ex"} {
		if got := safeName(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
}

func TestInventoriesOfTemplates(t *testing.T) {
	server := start(t, service.Options{})
	for _, template := range []string{"", "x/{inventory}/{namespace}-of/{cluster}", "{namespace}.{cluster}.{inventory}"} {
		d := over(t, server, "https", kollectv1alpha1.GitSink{PathTemplate: template}, filters)
		store := openStore(t, d)
		for _, cluster := range []string{"demo", "Demo", "other"} {
			export(t, store, sinktest.NewSampleOf(cluster, ref), 1)
		}
		refs, err := store.Inventories(t.Context(), "Demo")
		if err != nil || !slices.Equal(refs, []inventory.Ref{ref}) {
			t.Errorf("of template %q: %v, %v", template, refs, err)
		}
	}
}
