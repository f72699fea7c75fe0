package controlplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// The API that kollect-apiserver serves.
const (
	KollectGroup   = "inventory.kollect.io"
	KollectVersion = "v1alpha1"
)

// CertSecret is the Secret in which it keeps a certificate of its own.
const CertSecret = "kollect-apiserver-certs"

// kollectUser is who kollect-apiserver is to kube-apiserver: its certificate
// says what the token of its service account says in a cluster.
const kollectUser = "system:serviceaccount:" + Namespace + ":" + Service

var kollectGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + Namespace}

// kollectGrace is how long a kollect-apiserver may take to end.
const kollectGrace = 15 * time.Second

// KollectOptions say how a kollect-apiserver runs.
type KollectOptions struct {
	// Binary is the program, such as KollectBinary builds.
	Binary string
	// Name tells replicas apart: it names the process and its log. Default:
	// kollect-apiserver.
	Name string
	// ClusterName is the cluster in what it exports. Default: development.
	ClusterName string
	// SinkFileRoot is the folder that file:// sinks write to. Default: export in
	// the control plane's folder.
	SinkFileRoot string
	// OwnCertificate has it make and keep its serving certificate, as it does in a
	// cluster. What Config returns does not verify it then.
	OwnCertificate bool
	// Args are added to its flags; the last one of a name holds.
	Args []string
}

// Kollect is a kollect-apiserver that runs beside a control plane. Stop of the
// control plane ends it too.
type Kollect struct {
	cp   *ControlPlane
	opts KollectOptions
	port int
}

// StartKollect starts a kollect-apiserver on a loopback port of its own, with a
// certificate of its own and the identity and rights that artifacts/ gives it,
// and returns when it is ready. Its CRDs are to be applied before; it is not
// registered yet. On an error it does not run.
func (cp *ControlPlane) StartKollect(ctx context.Context, o KollectOptions) (*Kollect, error) {
	if o.Name == "" {
		o.Name = Service
	}
	if o.ClusterName == "" {
		o.ClusterName = "development"
	}
	if o.SinkFileRoot == "" {
		o.SinkFileRoot = cp.SinkFileRoot()
	}
	k := &Kollect{cp: cp, opts: o}
	if err := k.prepare(ctx); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Name, err)
	}
	if err := k.Start(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// Start starts it again after Stop or Kill: its address and identity stay. It
// does nothing if it runs.
func (k *Kollect) Start(ctx context.Context) error {
	k.cp.mu.Lock()
	defer k.cp.mu.Unlock()
	if k.cp.running(k.opts.Name) {
		return nil
	}
	return k.cp.onFreePort(ctx, &k.port, func() error {
		return k.cp.run(ctx, Program{Name: k.opts.Name, Command: k.command(), Ready: k.ready})
	})
}

// Stop ends it as an orderly shutdown does.
func (k *Kollect) Stop() error { return k.end(kollectGrace) }

// Kill ends it as a crash does.
func (k *Kollect) Kill() error { return k.end(0) }

// Signal sends a signal, such as SIGSTOP, to it. It is an error if it does not run.
func (k *Kollect) Signal(signal syscall.Signal) error {
	k.cp.mu.Lock()
	defer k.cp.mu.Unlock()
	p := k.cp.find(k.opts.Name)
	if p == nil || !p.running() {
		return fmt.Errorf("signal %s: it does not run", k.opts.Name)
	}
	if err := syscall.Kill(p.PID, signal); err != nil {
		return fmt.Errorf("signal %s: %w", k.opts.Name, err)
	}
	return nil
}

func (k *Kollect) end(grace time.Duration) error {
	k.cp.mu.Lock()
	defer k.cp.mu.Unlock()
	return k.cp.end(k.opts.Name, grace)
}

// Register has kube-apiserver serve KollectGroup from it, instead of from any
// other, and returns when that works.
func (k *Kollect) Register(ctx context.Context) error {
	return RegisterAPIService(ctx, k.cp.Config(), KollectGroup, KollectVersion, k.port, k.cp.ca.certPEM)
}

// Config returns the administrator's configuration for asking it directly and
// not through kube-apiserver.
func (k *Kollect) Config() *rest.Config {
	config := k.cp.Config()
	config.Host = fmt.Sprintf("https://127.0.0.1:%d", k.port)
	if k.opts.OwnCertificate {
		config.CAData, config.CAFile, config.Insecure = nil, "", true
	}
	return config
}

// LogPath returns the path of its log.
func (k *Kollect) LogPath() string { return k.cp.LogPath(k.opts.Name) }

// SinkFileRoot returns the folder that file:// sinks of a kollect-apiserver write
// to, unless its options say another.
func (cp *ControlPlane) SinkFileRoot() string { return cp.path("export") }

// SinkFileRoot returns the folder that file:// sinks write to.
func (k *Kollect) SinkFileRoot() string { return k.opts.SinkFileRoot }

// prepare gives it an identity, with its rights, and a serving certificate.
func (k *Kollect) prepare(ctx context.Context) error {
	config, err := k.cp.UserConfig(kollectUser, kollectGroups...)
	if err != nil {
		return err
	}
	if err := k.cp.grantKollect(ctx); err != nil {
		return err
	}
	kubeconfig, err := Kubeconfig(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(k.kubeconfig(), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := os.MkdirAll(k.opts.SinkFileRoot, 0o755); err != nil {
		return fmt.Errorf("create folder for sinks: %w", err)
	}
	serving, err := k.cp.ca.serving(ServingName)
	if err != nil {
		return err
	}
	return serving.write(k.cp.path("pki"), k.opts.Name)
}

func (k *Kollect) kubeconfig() string { return k.cp.path("pki", k.opts.Name+".kubeconfig") }

func (k *Kollect) command() *exec.Cmd {
	pki := func(name string) string { return filepath.Join(k.cp.opts.Dir, "pki", name) }
	args := []string{
		"--kubeconfig=" + k.kubeconfig(),
		"--authentication-kubeconfig=" + k.kubeconfig(),
		"--authorization-kubeconfig=" + k.kubeconfig(),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(k.port),
		"--cluster-name=" + k.opts.ClusterName,
		"--sink-file-root=" + k.opts.SinkFileRoot,
		"--leader-elect=true",
	}
	if k.opts.OwnCertificate {
		args = append(args, "--cert-secret="+Namespace+"/"+CertSecret)
	} else {
		args = append(args, "--tls-cert-file="+pki(k.opts.Name+".crt"), "--tls-private-key-file="+pki(k.opts.Name+".key"))
	}
	return exec.Command(k.opts.Binary, append(args, k.opts.Args...)...)
}

func (k *Kollect) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := kubernetes.NewForConfig(k.Config())
	if err != nil {
		return err
	}
	return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// grantKollect applies the rights of artifacts/, the very ones of a cluster.
func (cp *ControlPlane) grantKollect(ctx context.Context) error {
	root, err := Root()
	if err != nil {
		return err
	}
	artifacts := filepath.Join(root, "artifacts")
	files, err := filepath.Glob(filepath.Join(artifacts, "rbac-*.yaml"))
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side", "--force-conflicts", "--filename=" + filepath.Join(artifacts, "namespace.yaml")}
	for _, file := range files {
		args = append(args, "--filename="+file)
	}
	if _, err := cp.Kubectl(ctx, args...); err != nil {
		return err
	}
	return cp.AggregateClusterRoles(ctx)
}
