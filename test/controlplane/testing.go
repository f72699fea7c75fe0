package controlplane

import (
	"context"
	"testing"
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
				t.Logf("the end of the log of %s:\n%s", p.Name, Tail(p.Log, 30))
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
