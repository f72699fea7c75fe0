package controlplane

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// KubernetesVersion is the version that hack/kubernetes builds, and that the
// built kube-apiserver and kubectl report.
const KubernetesVersion = "v1.37.1"

// Paths are the absolute paths of the programs that a control plane needs.
type Paths struct {
	Etcd          string `json:"etcd"`
	KubeAPIServer string `json:"kubeAPIServer"`
	Kubectl       string `json:"kubectl"`
}

// program is one of Paths, the package of hack/kubernetes that builds it, and
// what to tell who waits for that.
type program struct {
	name, pkg, detail string
	path              *string
}

func (p *Paths) programs() []program {
	return []program{
		{"etcd", "go.etcd.io/etcd/server/v3", "the first time only", &p.Etcd},
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", "about five minutes on two cores, the first time only", &p.KubeAPIServer},
		{"kubectl", "k8s.io/kubernetes/cmd/kubectl", "the first time only", &p.Kubectl},
	}
}

// Binaries returns the programs of a control plane: each from
// KUBEBUILDER_ASSETS, else from PATH, else built from hack/kubernetes into
// _bin of the checkout, once for each state of that module. It writes to log a
// line for each program that was found rather than built, and progress while it
// builds. Callers in any number of processes build a program once.
func Binaries(ctx context.Context, log io.Writer) (Paths, error) {
	var paths Paths
	var missing []program
	for _, p := range paths.programs() {
		found, where := findInstalled(p.name)
		if found == "" {
			missing = append(missing, p)
			continue
		}
		*p.path = found
		fmt.Fprintf(log, "%s: using %s (%s)\n", p.name, found, where)
	}
	if len(missing) == 0 {
		return paths, nil
	}
	root, err := Root()
	if err != nil {
		return Paths{}, err
	}
	dir, err := cacheDir(root)
	if err != nil {
		return Paths{}, err
	}
	if err := buildMissing(ctx, log, root, dir, missing); err != nil {
		return Paths{}, err
	}
	return paths, nil
}

// findInstalled looks a program up in KUBEBUILDER_ASSETS and then on PATH, and
// says where it was; both results are empty if it is in neither.
func findInstalled(name string) (path, where string) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		if path, err := exec.LookPath(filepath.Join(assets, name)); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path, "KUBEBUILDER_ASSETS"
			}
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return path, "PATH"
		}
	}
	return "", ""
}

// cacheDir names the folder for what hack/kubernetes builds in its present
// state: another go.mod or go.sum is another folder.
func cacheDir(root string) (string, error) {
	h := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, "hack", "kubernetes", name))
		if err != nil {
			return "", fmt.Errorf("hash hack/kubernetes: %w", err)
		}
		h.Write(b)
	}
	return filepath.Join(root, "_bin", fmt.Sprintf("%s-%x", KubernetesVersion, h.Sum(nil)[:6])), nil
}

func buildMissing(ctx context.Context, log io.Writer, root, dir string, missing []program) error {
	if allCached(dir, missing) {
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
	for _, p := range missing {
		*p.path = filepath.Join(dir, p.name)
		if isExecutable(*p.path) {
			continue
		}
		partial := *p.path + ".partial"
		if err := goBuild(ctx, log, build{
			name:   p.name,
			dir:    filepath.Join(root, "hack", "kubernetes"),
			pkg:    p.pkg,
			out:    partial,
			args:   []string{"-ldflags", versionFlags},
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

func allCached(dir string, programs []program) bool {
	for _, p := range programs {
		*p.path = filepath.Join(dir, p.name)
		if !isExecutable(*p.path) {
			return false
		}
	}
	return true
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
