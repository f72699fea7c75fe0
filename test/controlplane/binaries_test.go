package controlplane

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstalledProgramsAreUsed(t *testing.T) {
	assets, path := t.TempDir(), t.TempDir()
	for _, file := range []string{
		filepath.Join(assets, "etcd"),
		filepath.Join(assets, "kube-apiserver"),
		filepath.Join(path, "kube-apiserver"),
		filepath.Join(path, "kubectl"),
	} {
		if err := os.WriteFile(file, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	t.Setenv("PATH", path)
	var log bytes.Buffer
	got, err := Binaries(t.Context(), &log)
	if err != nil {
		t.Fatal(err)
	}
	want := Paths{
		Etcd:          filepath.Join(assets, "etcd"),
		KubeAPIServer: filepath.Join(assets, "kube-apiserver"),
		Kubectl:       filepath.Join(path, "kubectl"),
	}
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, line := range []string{
		"etcd: using " + want.Etcd + " (KUBEBUILDER_ASSETS)",
		"kube-apiserver: using " + want.KubeAPIServer + " (KUBEBUILDER_ASSETS)",
		"kubectl: using " + want.Kubectl + " (PATH)",
	} {
		if strings.Count(log.String(), line+"\n") != 1 {
			t.Errorf("log: got\n%s\nwant one line %q", log.String(), line)
		}
	}
}

func TestBuildErrorsAreShown(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module broken\n\ngo 1.26\n",
		"main.go": "package main\n\nfunc main() { undefinedName() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := goBuild(t.Context(), t.Output(), build{name: "broken", dir: dir, pkg: ".", out: filepath.Join(dir, "out")})
	if err == nil || !strings.Contains(err.Error(), "undefined: undefinedName") {
		t.Errorf("error: got %v, want what the compiler said", err)
	}
}
