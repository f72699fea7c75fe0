package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/controlplane"
	"kollect.io/kollect/test/services/pki"
)

// httpService is the receiver of the examples.
type httpService struct{}

func (httpService) name() string { return "http" }

func (h httpService) start(ctx context.Context, d *dev, cp *controlplane.ControlPlane) (string, error) {
	binary, err := controlplane.BuildProgram(ctx, d.out, controlplane.Source{
		Name: "http-receiver", Module: ".", Package: "./examples/http-receiver",
	}, false)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(d.dir, h.name())
	files, err := h.credentials(folder)
	if err != nil {
		return "", err
	}
	port, err := child.FreePort()
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	cmd := exec.Command(binary, "-listen", address)
	cmd.Dir = folder // with the files that it takes by default
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: http-sink, namespace: kollect-system}
stringData: {hmac-key: %q, ca.crt: %q}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: http}
spec:
  type: http
  http: {url: "https://%s/{cluster}/{namespace}/{inventory}"}
  secretRef: {name: http-sink, namespace: kollect-system}
`, files["hmac-key"], files["ca.crt"], address), cp.StartProgram(ctx, controlplane.Program{
			Name: h.name(), Command: cmd,
			Ready: func(ctx context.Context) error {
				return answers(ctx, "https://"+address+"/", filepath.Join(folder, "ca.crt"))
			},
		})
}

// credentials makes those of the receiver, and of the sink, in the folder.
func (httpService) credentials(folder string) (map[string][]byte, error) {
	authority, err := pki.NewAuthority()
	if err != nil {
		return nil, err
	}
	certificate, key, err := authority.Issue("localhost")
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	files := map[string][]byte{
		"ca.crt": authority.PEM, "tls.crt": certificate, "tls.key": key, "hmac-key": []byte(hex.EncodeToString(secret)),
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// address is the log of the receiver: a request needs a signature.
func (h httpService) address(_ context.Context, cp *controlplane.ControlPlane) (string, error) {
	return cp.LogPath(h.name()), nil
}

func (httpService) reading(address string) string { return "tail " + address }

func (httpService) show(_ context.Context, d *dev, address string) error {
	log, err := os.ReadFile(address)
	if err != nil {
		return err
	}
	_, err = d.out.Write(append(bytes.TrimSpace(log), '\n'))
	return err
}
