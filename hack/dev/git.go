package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
	"kollect.io/kollect/test/services/git"
)

// gitService is a repository that the git program serves over HTTPS, by this command
// in the background.
type gitService struct{}

const (
	gitRepository = "inventory.git"
	gitCA         = "ca.crt" // beside the repository
	gitToken      = "kollect-dev-token"
)

func (gitService) name() string { return "git" }

func (g gitService) start(ctx context.Context, d *dev, cp *controlplane.ControlPlane) (string, error) {
	if err := d.need(ctx, "need git git"); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	port, err := child.FreePort()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(d.dir, g.name())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	ca := filepath.Join(folder, gitCA)
	if err := os.Remove(ca); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that ended by itself
		return "", err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	if err := cp.StartProgram(ctx, controlplane.Program{
		Name: g.name(), Command: exec.Command(self, "serve-git", folder, address),
		Ready: func(ctx context.Context) error { return answers(ctx, "https://"+address+"/", ca) },
	}); err != nil {
		return "", err
	}
	authority, err := os.ReadFile(ca)
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: git-sink, namespace: kollect-system}
stringData: {token: %s, ca.crt: %q}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: git}
spec:
  type: git
  git: {url: "https://%s/%s", layout: perResource}
  secretRef: {name: git-sink, namespace: kollect-system}
  minWriteInterval: 2s
`, gitToken, authority, address, gitRepository), err
}

// answers returns an error unless somebody whom the authority knows answers at all.
func answers(ctx context.Context, url, authority string) error {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// serveGit is the server: it serves the folder until it is told to end.
func serveGit(ctx context.Context, folder, address string) error {
	server, err := git.Start(ctx, folder, git.Options{Address: address, Token: gitToken})
	if err != nil {
		return err
	}
	if _, err = os.Stat(filepath.Join(folder, gitRepository)); errors.Is(err, fs.ErrNotExist) {
		err = server.Create(ctx, gitRepository, "uploadpack.allowFilter=true")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, gitCA), server.Secret()["ca.crt"], 0o600)
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, server.Stop())
}

// address is that of the repository as a folder, which needs no credentials.
func (g gitService) address(_ context.Context, cp *controlplane.ControlPlane) (string, error) {
	return filepath.Join(filepath.Base(cp.Dir()), g.name(), gitRepository), nil
}

func (gitService) reading(address string) string {
	return fmt.Sprintf("git -C %s log -p -1 -- ':!*/.kollect.json'", address)
}

func (gitService) show(ctx context.Context, d *dev, address string) error {
	cmd := exec.CommandContext(ctx, "git", "-C", address, "--no-pager", "log", "-p", "-1", "--", ":!*/.kollect.json")
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.root, d.out, d.out
	return cmd.Run()
}
