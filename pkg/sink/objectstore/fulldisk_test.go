//go:build unix

package objectstore

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	kollectv1alpha1 "kollect.io/kollect/pkg/apis/kollect/v1alpha1"
	"kollect.io/kollect/pkg/inventory"
	"kollect.io/kollect/pkg/sink"
	"kollect.io/kollect/pkg/sink/sinktest"
)

// diskOf has this program, which is started again, export to the folder with files
// bounded in size.
const diskOf = "KOLLECT_TEST_DISK_OF"

func TestMain(m *testing.M) {
	if root := os.Getenv(diskOf); root != "" {
		os.Exit(exportToAFullDisk(root))
	}
	os.Exit(m.Run())
}

func exportToAFullDisk(root string) int {
	signal.Ignore(syscall.SIGXFSZ) // a write that is too long fails then
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 16 << 10, Max: 16 << 10}); err != nil {
		os.Stderr.WriteString(err.Error())
		return 2
	}
	s := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"})
	s.Fill(5000)
	spec := kollectv1alpha1.ObjectStoreSink{URL: "file:///tenant/lake", Prefix: "some/where/", Format: "json"}
	ctx := context.Background()
	store, err := Open(ctx, spec, nil, Options{FileRoot: root})
	if err == nil {
		_, err = store.Write(ctx, sink.Export{Snapshot: s.Snapshot(), Generation: 2, Time: exportTime})
	}
	if err == nil || sink.IsPermanent(err) {
		return 0
	}
	os.Stderr.WriteString(err.Error())
	return 1
}

// A real write that stops halfway leaves what was there, and nothing else.
func TestExportThatDoesNotFit(t *testing.T) {
	d := inFolder(t, "json")
	if _, err := export(t, d.Open(t), 1); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), diskOf+"="+d.root)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "--sink-file-root") || strings.Contains(string(out), d.root) {
		t.Errorf("the export ended with %v, %q", err, out)
	}
	of := sinktest.NewSample(inventory.Ref{Namespace: "team-a", Name: "apps"}).Snapshot().Inventory()
	if content, err := d.Read(t.Context(), of); err != nil || content.Generation != 1 {
		t.Errorf("a reader sees %v, %v", content, err)
	}
	left, err := filepath.Glob(filepath.Join(d.root, "tenant/lake/some/where", folderName, "*"))
	if err != nil || len(left) != 4 { // lock, pointer, manifests, data
		t.Errorf("left are %q, %v", left, err)
	}
	if mark, err := export(t, d.Open(t), 2); err != nil || mark.Generation != 2 {
		t.Errorf("with space again: %v, %v", mark, err)
	}
}
