package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	etcdName      = "etcd"
	apiServerName = "kube-apiserver"
	adminUser     = "kollect-admin"
	adminGroup    = "system:masters"
)

// startEtcd starts a member of its own on Unix sockets, which no other user of
// the machine can reach, and waits until it answers.
func (cp *ControlPlane) startEtcd(ctx context.Context) error {
	peer := "unix://" + cp.state.Socket + ".peer"
	cmd := exec.Command(cp.opts.Binaries.Etcd,
		"--name=default",
		"--data-dir="+cp.opts.EtcdDataDir,
		"--listen-client-urls="+cp.EtcdEndpoint(),
		"--advertise-client-urls="+cp.EtcdEndpoint(),
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster=default="+peer,
		"--unsafe-no-fsync", // a crash of the machine may lose data, a crash of etcd does not
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", cp.state.Socket)
		},
	}}
	return cp.run(ctx, Program{Name: etcdName, Command: cmd, Ready: func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://etcd/health", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("etcd answers %s", resp.Status)
		}
		return nil
	}})
}

// startAPIServer starts kube-apiserver on the port it had, or on a free one.
func (cp *ControlPlane) startAPIServer(ctx context.Context) error {
	if err := cp.onFreePort(ctx, &cp.state.Port, func() error {
		if err := cp.setAdmin(); err != nil {
			return err
		}
		return cp.run(ctx, Program{Name: apiServerName, Command: cp.apiServerCommand(), Ready: cp.apiServerReady})
	}); err != nil {
		return err
	}
	return cp.AggregateClusterRoles(ctx)
}

// onFreePort calls start, which starts a server on *port. If that is 0 it is
// set to a free port before, and to another one if somebody takes it meanwhile.
func (cp *ControlPlane) onFreePort(ctx context.Context, port *int, start func() error) (err error) {
	first := *port == 0
	for range 5 {
		if first {
			if *port, err = cp.pickPort(); err != nil {
				return err
			}
		}
		if err = start(); err == nil {
			return nil
		}
		if first {
			*port = 0
		}
		if !portTaken(err) {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return err
}

func (cp *ControlPlane) apiServerCommand() *exec.Cmd {
	pki := func(name string) string { return filepath.Join(cp.opts.Dir, "pki", name) }
	args := []string{
		"--etcd-servers=" + cp.EtcdEndpoint(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(cp.state.Port),
		"--tls-cert-file=" + pki("kube-apiserver.crt"),
		"--tls-private-key-file=" + pki("kube-apiserver.key"),
		"--client-ca-file=" + pki("ca.crt"),
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + pki("front-proxy-client.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("service-account.crt"),
		"--service-account-signing-key-file=" + pki("service-account.key"),
		"--service-cluster-ip-range=10.0.0.0/16",
		"--authorization-mode=RBAC",
		"--enable-aggregator-routing=false",
		"--endpoint-reconciler-type=none",            // a loopback address is no endpoint
		"--disable-admission-plugins=ServiceAccount", // nothing makes the accounts that it asks for
		"--profiling=false",
	}
	return exec.Command(cp.opts.Binaries.KubeAPIServer, append(args, cp.opts.APIServerArgs...)...)
}

// apiServerReady asks for /readyz, and for what kube-apiserver itself makes
// soon after it is ready: the system namespaces, and how aggregated servers
// authenticate requests.
func (cp *ControlPlane) apiServerReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := kubernetes.NewForConfig(cp.admin)
	if err != nil {
		return err
	}
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return err
	}
	if _, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{}); err != nil {
		return err
	}
	const name = "extension-apiserver-authentication"
	auth, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if auth.Data["requestheader-client-ca-file"] == "" {
		return fmt.Errorf("config map %s has no front-proxy authority yet", name)
	}
	return nil
}
