package bench

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/git"
	service "kollect.io/kollect/test/services/git"
	"kollect.io/kollect/test/sinkbench"
)

// BenchmarkGit measures commits to a repository that the git program serves over
// HTTPS, of layout perResource, with 100 files to a folder.
//
// x-fast-import-first is the time of a first export of 100,000 rows divided by the
// yardstick's: git fast-import of the same files into a repository of its own, and git
// push to the same server, in turns. x-fast-import-delta is that of an export of which
// 1% of 10,000 rows changed.
func BenchmarkGit(b *testing.B) {
	dir := b.TempDir()
	server, err := service.Start(b.Context(), dir, service.Options{})
	must(b, err)
	b.Cleanup(func() { _ = server.Stop() })
	g := &gitBench{server: server, dir: dir}
	for b.Loop() {
		g.first(b)
		g.delta(b)
	}
	b.ReportMetric(0, "ns/op")
}

type gitBench struct {
	server *service.Server
	dir    string
	made   int
}

// repository makes one on the server, and a local one that pushes there.
func (g *gitBench) repository(b *testing.B) (name, local string) {
	b.Helper()
	g.made++
	name = fmt.Sprintf("bench-%d.git", g.made)
	must(b, g.server.Create(b.Context(), name, "uploadpack.allowFilter=true"))
	local = filepath.Join(b.TempDir(), name)
	_, err := service.Run(b.Context(), g.dir, nil, "init", "--quiet", "--bare", "--initial-branch=main", local)
	must(b, err)
	ca := filepath.Join(local, "ca.crt")
	must(b, os.WriteFile(ca, g.server.Secret()["ca.crt"], 0o600))
	for _, setting := range [][]string{
		{"http.sslCAInfo", ca},
		{"remote.origin.url", strings.Replace(g.server.URL(name), "https://", "https://x:"+string(g.server.Secret()["token"])+"@", 1)},
		{"http.postBuffer", "1073741824"}, // what serves here takes no chunks
		{"pack.window", "0"},              // which makes a push as fast as it can be
	} {
		_, err := service.Run(b.Context(), local, nil, "config", setting[0], setting[1])
		must(b, err)
	}
	return name, local
}

func (g *gitBench) open(b *testing.B, name string) *git.Store {
	b.Helper()
	store, err := git.Open(kollectv1alpha1.GitSink{URL: g.server.URL(name), Layout: "perResource"}, g.server.Secret(), git.Options{})
	must(b, err)
	return store
}

func (g *gitBench) export(b *testing.B, store *git.Store, rows *inventory.Store, generation int64) time.Duration {
	b.Helper()
	snapshot := rows.State().Snapshot(syntheticRef)
	began := time.Now()
	_, err := store.Write(b.Context(), sink.Export{Snapshot: snapshot, Generation: generation, Time: began})
	took := time.Since(began)
	must(b, err)
	return took
}

// stream is a commit of files of a repository on the server, for fast-import.
func (g *gitBench) stream(b *testing.B, name, parent string, paths ...string) *bytes.Buffer {
	b.Helper()
	archive, err := g.server.Git(b.Context(), name, append([]string{"archive", "main"}, paths...)...)
	must(b, err)
	var stream bytes.Buffer
	fmt.Fprintf(&stream, "commit refs/heads/main\ncommitter x <x@example.com> %d +0000\ndata 1\nx\n%s", time.Now().Unix(), parent)
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return &stream
		}
		must(b, err)
		if header.Typeflag == tar.TypeReg {
			fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n", header.Name, header.Size)
			_, err := io.Copy(&stream, in)
			must(b, err)
		}
	}
}

// yardstick imports the stream and pushes.
func (g *gitBench) yardstick(b *testing.B, local string, stream io.Reader) time.Duration {
	b.Helper()
	began := time.Now()
	_, err := service.Run(b.Context(), local, stream, "fast-import", "--quiet")
	must(b, err)
	_, err = service.Run(b.Context(), local, nil, "push", "--quiet", "origin", "main")
	must(b, err)
	return time.Since(began)
}

// changeImages changes n of all rows: others each time, in no order.
func changeImages(b *testing.B, rows *inventory.Store, turn, n, all int) {
	b.Helper()
	rows.Update(func(tx *inventory.Tx) {
		for i := turn * n; i < (turn+1)*n; i++ {
			at := i * 7919 % all
			row := syntheticRow(b, at, all)
			tx.Put(inventory.NewRow(inventory.RowContent{
				Resource: &configMapKind, Target: &syntheticTarget, Namespace: row.Namespace(), Name: row.Name(), UID: row.UID(),
				Created: row.Created(), Labels: configMap(at).Labels, Attributes: []byte(strings.Replace(row.Attributes(), ":1.27", ":1.28", 1)),
			}), "")
		}
	})
}

func (g *gitBench) first(b *testing.B) {
	const turns = 3
	var ours, theirs []time.Duration
	rows := syntheticStore(b, firstRows, nil)
	for range turns {
		name, _ := g.repository(b)
		store := g.open(b, name)
		ours = append(ours, g.export(b, store, rows, 1))
		must(b, store.Close())
		stream := g.stream(b, name, "")
		_, local := g.repository(b)
		theirs = append(theirs, g.yardstick(b, local, stream))
	}
	g.report(b, "x-fast-import-first", ours, theirs)
}

func (g *gitBench) delta(b *testing.B) {
	const all, changes, turns = 10_000, 100, 11
	var ours, theirs []time.Duration
	name, _ := g.repository(b)
	_, local := g.repository(b)
	store := g.open(b, name)
	rows := syntheticStore(b, all, nil)
	g.export(b, store, rows, 1)
	g.yardstick(b, local, g.stream(b, name, ""))
	for turn := range turns {
		changeImages(b, rows, turn, changes, all)
		ours = append(ours, g.export(b, store, rows, int64(2+turn)))
		changed, err := g.server.Git(b.Context(), name, "diff", "--name-only", "main~1", "main")
		must(b, err)
		paths := strings.Fields(string(changed))
		if len(paths) != changes+1 { // and the manifest
			b.Fatalf("%d files changed with %d rows", len(paths), changes)
		}
		theirs = append(theirs, g.yardstick(b, local, g.stream(b, name, "from refs/heads/main^0\n", paths...)))
	}
	must(b, store.Close())
	g.report(b, "x-fast-import-delta", ours, theirs)
}

func (g *gitBench) report(b *testing.B, unit string, ours, theirs []time.Duration) {
	b.Helper()
	fmt.Fprintf(os.Stderr, "%s: %s, by fast-import and push: %s\n", unit, ours, theirs)
	b.ReportMetric(float64(sinkbench.Median(ours))/float64(sinkbench.Median(theirs)), unit)
}
