package controlplane

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// OlderVersion is the version of kubectl that hack/kubernetes/v1.32 builds, and
// that it reports.
const OlderVersion = "v1.32.13"

// release is a version of Kubernetes and the module of the checkout that builds
// programs of it.
type release struct{ version, module string }

var (
	newest = release{KubernetesVersion, "hack/kubernetes"}
	older  = release{OlderVersion, "hack/kubernetes/v1.32"}
)

// Kubectls returns the path of a kubectl for KubernetesVersion and one for
// OlderVersion. Both are built, whatever is installed: what is tried with them
// depends on no other. Else it is as Binaries.
func Kubectls(ctx context.Context, log io.Writer) (map[string]string, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	paths := map[string]string{}
	for _, r := range []release{newest, older} {
		var path string
		if err := r.build(ctx, log, root, []program{{
			name: "kubectl", pkg: "k8s.io/kubernetes/cmd/kubectl",
			detail: r.version + ", two minutes on two cores, the first time only", path: &path,
		}}); err != nil {
			return nil, err
		}
		paths[r.version] = path
	}
	return paths, nil
}

// build builds the programs into a folder in _bin of the checkout, unless they
// are there.
func (r release) build(ctx context.Context, log io.Writer, root string, programs []program) error {
	dir, err := r.cacheDir(root)
	if err != nil {
		return err
	}
	if allCached(dir, programs) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create binary cache: %w", err)
	}
	unlock, err := Lock(ctx, log, filepath.Join(root, "_bin", "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	for _, p := range programs {
		*p.path = filepath.Join(dir, p.name)
		if isExecutable(*p.path) {
			continue
		}
		partial := *p.path + ".partial"
		if err := goBuild(ctx, log, build{
			name:   p.name,
			dir:    filepath.Join(root, filepath.FromSlash(r.module)),
			pkg:    p.pkg,
			out:    partial,
			args:   []string{"-ldflags", r.linkFlags()},
			detail: p.detail,
		}); err != nil {
			return err
		}
		if err := os.Rename(partial, *p.path); err != nil {
			return fmt.Errorf("keep %s: %w", p.name, err)
		}
	}
	return nil
}

// cacheDir names the folder for what the module builds in its present state:
// another go.mod or go.sum is another folder.
func (r release) cacheDir(root string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(r.module), name))
		if err != nil {
			return "", fmt.Errorf("hash %s: %w", r.module, err)
		}
		h.Write(b)
	}
	return filepath.Join(root, "_bin", fmt.Sprintf("%s-%x", r.version, h.Sum(nil)[:6])), nil
}

// linkFlags make programs report the version.
func (r release) linkFlags() string {
	const path = "k8s.io/component-base/version."
	major, rest, _ := strings.Cut(strings.TrimPrefix(r.version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return fmt.Sprintf("-s -w -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s", path, r.version, major, minor)
}
