package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"kollect.io/kollect/test/child"
)

// Options say how a control plane runs; the zero value is for a test.
type Options struct {
	// Dir holds everything of the control plane: data, certificates, logs,
	// kubeconfig. Default: a new temporary folder, which Stop removes; a given
	// folder stays.
	Dir string
	// Detach lets the processes outlive this one. They are on record in Dir,
	// where Open finds them. It needs Dir.
	Detach bool
	// EtcdDataDir is etcd's data, which may be there before. Default: in Dir.
	EtcdDataDir string
	// APIServerArgs are added to kube-apiserver's flags; the last one of a name holds.
	APIServerArgs []string
	// Log receives progress, a few lines. Default: none.
	Log io.Writer
	// Binaries are the programs to run. Default: those of Binaries.
	Binaries Paths
}

// ControlPlane is etcd, kube-apiserver and whatever kollect-apiservers were
// started beside them. Its methods are safe for concurrent use; those that
// start and stop wait for one another.
type ControlPlane struct {
	opts     Options
	removal  string // what Stop removes: a temporary folder, or nothing
	ca       *authority
	admin    *rest.Config
	pickPort func() (int, error)

	mu    sync.Mutex // guards state and the files in Dir
	state state
}

// Start starts etcd and kube-apiserver, and returns when kube-apiserver is
// ready. ctx bounds the start only; Stop ends the control plane. On an error
// nothing of it runs on, and the error shows the end of the log that says why.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	cp, err := StartEtcd(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := cp.StartAPIServer(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return cp, nil
}

// StartEtcd is Start without kube-apiserver: data may be written to etcd before
// StartAPIServer.
func StartEtcd(ctx context.Context, o Options) (*ControlPlane, error) {
	cp, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := cp.StartEtcd(ctx); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return cp, nil
}

// prepare makes the folders and certificates of a control plane.
func prepare(ctx context.Context, o Options) (_ *ControlPlane, err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Binaries == (Paths{}) {
		if o.Binaries, err = Binaries(ctx, o.Log); err != nil {
			return nil, err
		}
	}
	cp := &ControlPlane{pickPort: child.FreePort}
	switch {
	case o.Dir != "":
		if o.Dir, err = filepath.Abs(o.Dir); err != nil {
			return nil, fmt.Errorf("create control plane: %w", err)
		}
	case o.Detach:
		return nil, errors.New("create control plane: Detach needs Dir")
	default:
		if o.Dir, err = os.MkdirTemp("", "kollect-"); err != nil {
			return nil, fmt.Errorf("create control plane: %w", err)
		}
		cp.removal = o.Dir
	}
	if o.EtcdDataDir == "" {
		o.EtcdDataDir = filepath.Join(o.Dir, "etcd")
	}
	cp.opts = o
	cp.state = state{Binaries: o.Binaries, EtcdDataDir: o.EtcdDataDir, APIServerArgs: o.APIServerArgs}
	for _, dir := range []string{o.Dir, cp.path("log"), cp.path("pki")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("create control plane: %w", err), cp.Stop())
		}
	}
	if cp.state.Socket, err = socketPath(o.Dir); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	if err := cp.issueCertificates(); err != nil {
		return nil, errors.Join(err, cp.Stop())
	}
	return cp, nil
}

// Stop ends every process of the control plane and returns when they have
// ended. A temporary folder is removed, a folder from Options.Dir stays. To
// stop again does nothing.
func (cp *ControlPlane) Stop() error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	var errs []error
	for _, p := range slices.Backward(slices.Clone(cp.state.Processes)) {
		errs = append(errs, cp.end(p.Name, kollectGrace))
	}
	if dir := cp.state.socketDir(cp.opts.Dir); dir != "" {
		errs = append(errs, os.RemoveAll(dir))
	}
	for _, dir := range cp.state.TempDirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	if cp.removal != "" {
		errs = append(errs, os.RemoveAll(cp.removal))
	}
	return errors.Join(errs...)
}

// StartEtcd starts etcd, again after StopEtcd: its address and data stay. It
// does nothing if etcd runs.
func (cp *ControlPlane) StartEtcd(ctx context.Context) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.running(etcdName) {
		return nil
	}
	return cp.startEtcd(ctx)
}

// StopEtcd ends etcd and leaves kube-apiserver without it.
func (cp *ControlPlane) StopEtcd() error { return cp.stopOne(etcdName) }

// StartAPIServer starts kube-apiserver and returns when it is ready; again
// after StopAPIServer: its address stays. It does nothing if it runs.
func (cp *ControlPlane) StartAPIServer(ctx context.Context) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.running(apiServerName) {
		return nil
	}
	return cp.startAPIServer(ctx)
}

// StopAPIServer ends kube-apiserver: its address refuses connections until
// StartAPIServer.
func (cp *ControlPlane) StopAPIServer() error { return cp.stopOne(apiServerName) }

func (cp *ControlPlane) stopOne(name string) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.end(name, 5*time.Second)
}

// Dir returns the folder that holds everything of the control plane.
func (cp *ControlPlane) Dir() string { return cp.opts.Dir }

// KubeconfigPath returns the path of the administrator's kubeconfig.
func (cp *ControlPlane) KubeconfigPath() string { return cp.path("kubeconfig") }

// LogPath returns the path of a process's log: etcd, kube-apiserver, or the
// name of a kollect-apiserver.
func (cp *ControlPlane) LogPath(process string) string { return cp.path("log", process+".log") }

// Binaries returns the programs that the control plane runs.
func (cp *ControlPlane) Binaries() Paths { return cp.opts.Binaries }

// EtcdEndpoint returns etcd's address in the form that etcd's client takes: a
// Unix socket, without TLS.
func (cp *ControlPlane) EtcdEndpoint() string { return "unix://" + cp.state.Socket }

func (cp *ControlPlane) path(elem ...string) string {
	return filepath.Join(append([]string{cp.opts.Dir}, elem...)...)
}
