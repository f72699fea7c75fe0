// Package versity runs versitygw for tests: a server that speaks S3, with what it
// holds in a folder, on a loopback port of its own. Its invariant: what it has
// started ends with it.
package versity

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kollect.io/kollect/test/child"
)

// AccessKey and SecretKey are what the server takes.
const AccessKey, SecretKey = "kollect-test", "kollect-test-secret"

// Server is a running server.
type Server struct {
	folder string // its own
	port   int
	server *child.Process
}

// answerTimeout bounds how long a server takes to answer.
const answerTimeout = 30 * time.Second

// Start starts a server without buckets. Its program is the tool of the module in
// the folder that is named.
func Start(ctx context.Context, module string) (*Server, error) {
	program, err := exec.CommandContext(ctx, "go", "-C", module, "tool", "-n", "versitygw").Output()
	if err != nil {
		return nil, fmt.Errorf("build versitygw: %w", err)
	}
	folder, err := os.MkdirTemp("", "kollect-versity-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder}
	if err := s.start(ctx, strings.TrimSpace(string(program))); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// start has the server keep ETags in extended attributes: those in its sidecar
// files do not change together with the object, so that conditions on them let
// older data through.
func (s *Server) start(ctx context.Context, program string) (err error) {
	if s.port, err = child.FreePort(); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.folder, "buckets"), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, "--port", s.Address(), "--quiet", "posix", filepath.Join(s.folder, "buckets"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+AccessKey, "ROOT_SECRET_ACCESS_KEY="+SecretKey)
	if s.server, err = child.Start(cmd, filepath.Join(s.folder, "log"), false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return s.server.Await(ctx, func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Address())
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// MakeBucket makes a bucket and returns the folder that its objects are in.
func (s *Server) MakeBucket(name string) (string, error) {
	folder := filepath.Join(s.folder, "buckets", name)
	return folder, os.Mkdir(folder, 0o755)
}

// Stop ends the server and removes what it holds.
func (s *Server) Stop() error {
	if s.server != nil {
		s.server.End(syscall.SIGKILL)
	}
	return os.RemoveAll(s.folder)
}

// Address is where the server listens: host and port.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }
