package controlplane

import (
	"context"
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

// program is what a release builds from a package, where its path goes, and what
// to tell who waits for it.
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
	if err := newest.build(ctx, log, root, missing); err != nil {
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
