// Package azurite runs Azurite, Microsoft's server with the API of Azure Blob
// Storage, for tests: with what it holds in memory, on a loopback port of its own.
// Its invariant: what it has started ends with it.
package azurite

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/services/fetched"
)

//go:embed package.json
var manifest []byte

// lock has the hash of each package.
//
//go:embed package-lock.json
var lock []byte

// Account is the name of the account that a server has.
const Account = "kollect"

// answerTimeout bounds how long a server takes to listen.
const answerTimeout = time.Minute

// Server is a running server.
type Server struct {
	folder string // its own
	port   int
	key    string
	server *child.Process
}

// Fetch has npm install the server, once, and returns its folder. It says on log
// what takes a while.
func Fetch(ctx context.Context, log io.Writer) (string, error) {
	return fetched.Folder{
		Name: "azurite", Title: "Azurite (120 MB) by npm", Value: slices.Concat(manifest, lock), Fetch: install,
	}.Get(ctx, log)
}

func install(ctx context.Context, part string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is missing: apt-get install npm")
	}
	for name, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(part, name), content, 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, npm, "ci", "--prefer-offline", "--ignore-scripts", "--omit=dev", "--omit=optional", "--no-audit", "--no-fund")
	cmd.Dir = part
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// Start starts a server with an empty account and waits until it listens. With
// certificate and key, which are files, it speaks TLS, and takes tokens of Azure
// without looking at who signed them.
func Start(ctx context.Context, certificate, key string) (*Server, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is missing: apt-get install nodejs")
	}
	installed, err := Fetch(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "kollect-azurite-")
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 64)
	_, _ = rand.Read(secret) // never fails
	s := &Server{folder: folder, key: base64.StdEncoding.EncodeToString(secret)}
	args := []string{filepath.Join(installed, "node_modules/azurite/dist/src/blob/main.js")}
	if certificate != "" {
		args = append(args, "--cert", certificate, "--key", key, "--oauth", "basic")
	}
	if err := s.start(ctx, node, args); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, node string, args []string) (err error) {
	if s.port, err = child.FreePort(); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), node, append(args,
		"--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(s.port),
		"--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck")...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "AZURITE_ACCOUNTS="+Account+":"+s.key)
	if s.server, err = child.Start(cmd, filepath.Join(s.folder, "log"), false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.server.Await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address())
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	if s.server != nil {
		s.server.End(syscall.SIGKILL)
	}
	return os.RemoveAll(s.folder)
}

// Address is the host and port at which the server listens.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Key is that of the account, in base64.
func (s *Server) Key() string { return s.key }
