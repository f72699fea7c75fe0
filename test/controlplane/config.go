package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const frontProxyUser = "front-proxy-client"

// issueCertificates makes what kube-apiserver reads at its start.
func (cp *ControlPlane) issueCertificates() error {
	dir := cp.path("pki")
	ca, err := loadAuthority(dir, "ca")
	if err != nil {
		return err
	}
	cp.ca = ca
	serving, err := ca.serving("kubernetes.default.svc", "kubernetes.default", "kubernetes")
	if err != nil {
		return err
	}
	frontProxyCA, err := loadAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	frontProxy, err := frontProxyCA.client(frontProxyUser)
	if err != nil {
		return err
	}
	// Only its key pair is used: it signs tokens, not certificates.
	if _, err := loadAuthority(dir, "service-account"); err != nil {
		return err
	}
	return errors.Join(serving.write(dir, apiServerName), frontProxy.write(dir, frontProxyUser))
}

// setAdmin makes the administrator's configuration for the port, and keeps it
// as the kubeconfig.
func (cp *ControlPlane) setAdmin() error {
	if cp.admin == nil {
		config, err := cp.UserConfig(adminUser, adminGroup)
		if err != nil {
			return err
		}
		cp.admin = config
	}
	cp.admin.Host = cp.url()
	kubeconfig, err := Kubeconfig(cp.admin)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cp.KubeconfigPath(), kubeconfig, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

func (cp *ControlPlane) url() string { return fmt.Sprintf("https://127.0.0.1:%d", cp.state.Port) }

// Config returns the administrator's configuration, not limited in its rate.
// The caller owns it.
func (cp *ControlPlane) Config() *rest.Config { return rest.CopyConfig(cp.admin) }

// Kubeconfig returns the administrator's kubeconfig, which is also at
// KubeconfigPath.
func (cp *ControlPlane) Kubeconfig() ([]byte, error) { return Kubeconfig(cp.admin) }

// UserConfig returns the configuration of a user in groups, who authenticates
// by a client certificate and has the rights that RBAC gives.
func (cp *ControlPlane) UserConfig(name string, groups ...string) (*rest.Config, error) {
	pair, err := cp.ca.client(name, groups...)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: cp.url(),
		QPS:  -1,
		TLSClientConfig: rest.TLSClientConfig{
			CAData:   cp.ca.certPEM,
			CertData: pair.cert,
			KeyData:  pair.key,
		},
	}, nil
}

// Kubeconfig returns a kubeconfig with the host and the certificates of config,
// all within it.
func Kubeconfig(config *rest.Config) ([]byte, error) {
	const name = "kollect"
	out, err := clientcmd.Write(clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   config.Host,
			CertificateAuthorityData: config.CAData,
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{name: {
			ClientCertificateData: config.CertData,
			ClientKeyData:         config.KeyData,
			Token:                 config.BearerToken,
		}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
	if err != nil {
		return nil, fmt.Errorf("encode kubeconfig: %w", err)
	}
	return out, nil
}

// KubectlCommand returns a kubectl of the administrator, not started yet. It
// neither reads nor writes anything of the caller's home.
func (cp *ControlPlane) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, cp.opts.Binaries.Kubectl, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+cp.KubeconfigPath(),
		"KUBECACHEDIR="+cp.path("kubectl-cache"),
		"KUBERC=off",
	)
	return cmd
}

// Kubectl runs kubectl as the administrator and returns what it printed; its
// standard error is in the error.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) ([]byte, error) {
	cmd := cp.KubectlCommand(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("run kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
