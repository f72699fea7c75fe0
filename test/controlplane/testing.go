package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kollect.io/kollect/test/child"
)

// ForTest starts a control plane for one test or benchmark, and stops it at
// its end; a test that cannot have one fails.
func ForTest(t testing.TB, o Options) *ControlPlane {
	t.Helper()
	if o.Log == nil {
		o.Log = t.Output()
	}
	cp, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, p := range cp.Processes() {
				t.Logf("the end of the log of %s:\n%s", p.Name, child.Tail(p.Log, 30))
			}
		}
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cp
}

// MustKubectl is Kubectl for a test, which fails if kubectl does.
func (cp *ControlPlane) MustKubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := cp.Kubectl(context.WithoutCancel(t.Context()), args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Until waits until check has no error; the test fails if that takes longer than
// the limit.
func Until(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("after %s", limit))
	defer cancel()
	if err := poll(ctx, func(context.Context) error { return check() }); err != nil {
		t.Fatal(err)
	}
}

// RaceLog is the value of GORACE with which servers that were built with the race
// detector report into the folder.
func RaceLog(dir string) string { return "log_path=" + filepath.Join(dir, "race") }

// Races returns what servers reported into the folder, as an error. They report
// until they have ended.
func Races(dir string) error {
	reports, err := filepath.Glob(filepath.Join(dir, "race*"))
	for _, name := range reports {
		report, readErr := os.ReadFile(name)
		err = errors.Join(err, readErr, fmt.Errorf("a server raced:\n%s", strings.TrimSpace(string(report))))
	}
	return err
}
