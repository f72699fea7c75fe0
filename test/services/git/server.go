// Package git serves bare repositories by the git program itself: over HTTPS by its
// http-backend, and over SSH by a server in this process. It listens on a loopback
// address alone.
package git

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kollect.io/kollect/test/services/pki"
)

// Options are how a server differs from what is usual.
type Options struct {
	// Version0 has the server speak no newer version of Git's protocol.
	Version0 bool
	// Token is what users of HTTPS and SSH have for a password. Default: a constant.
	Token string
	// Address and SSHAddress to listen on. Default: any free port.
	Address, SSHAddress string
}

// Server serves the repositories in a folder.
type Server struct {
	dir     string
	options Options
	backend string
	ca      []byte
	pair    tls.Certificate
	address string
	http    *http.Server
	ssh     *sshServer
	serving sync.WaitGroup
}

// Start serves the bare repositories in the folder.
func Start(ctx context.Context, dir string, options Options) (*Server, error) {
	path, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return nil, fmt.Errorf("run git: %w", err)
	}
	if options.Token == "" {
		options.Token = "kollect-test-token"
	}
	s := &Server{dir: dir, options: options, backend: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend")}
	if s.ssh, err = startSSH(s); err != nil {
		return nil, err
	}
	if err := s.certify(); err != nil {
		return nil, errors.Join(err, s.ssh.stop())
	}
	if err := s.listen(cmp.Or(options.Address, "127.0.0.1:0")); err != nil {
		return nil, errors.Join(err, s.ssh.stop())
	}
	return s, nil
}

func (s *Server) certify() error {
	authority, err := pki.NewAuthority()
	if err != nil {
		return err
	}
	certificate, key, err := authority.Issue("localhost")
	if err != nil {
		return err
	}
	s.ca = authority.PEM
	s.pair, err = tls.X509KeyPair(certificate, key)
	return err
}

// listen serves over HTTPS.
func (s *Server) listen(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	if s.address == "" {
		s.address = listener.Addr().String()
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	s.http = server
	s.serving.Go(func() {
		_ = server.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{s.pair}, MinVersion: tls.VersionTLS12}))
	})
	return nil
}

// Stop ends the server.
func (s *Server) Stop() error {
	err := s.Kill()
	return errors.Join(err, s.ssh.stop())
}

// Kill ends what serves over HTTPS, and its connections. What Git does for them at that
// moment it may end, or not.
func (s *Server) Kill() error {
	err := s.http.Close()
	s.serving.Wait()
	return err
}

// Up has it serve over HTTPS again, where it did and with the certificate that it had.
func (s *Server) Up() error { return s.listen(s.address) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(password), []byte(s.options.Token)) == 0 {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	if s.options.Version0 {
		r.Header.Del("Git-Protocol")
	}
	backend := cgi.Handler{
		Path: s.backend, Dir: s.dir, Stderr: io.Discard, Logger: log.New(io.Discard, "", 0),
		Env: append(Environment(), "GIT_PROJECT_ROOT="+s.dir, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER="+user),
	}
	// The backend waits for ever, and busily, for the rest of a body that is cut off.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body is cut off", http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	backend.ServeHTTP(w, r)
}

// Environment is that of the git program: nobody's own configuration.
func Environment() []string {
	return []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "HOME=" + os.DevNull, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
}

// URL of a repository over HTTPS.
func (s *Server) URL(name string) string { return "https://" + s.address + "/" + name }

// SSHURL of a repository.
func (s *Server) SSHURL(name string) string { return "ssh://git@" + s.ssh.address() + "/" + name }

// Secret is what a sink needs to get in over HTTPS.
func (s *Server) Secret() map[string][]byte {
	return map[string][]byte{"token": []byte(s.options.Token), "ca.crt": s.ca}
}

// SSHSecret is what a sink needs to get in over SSH.
func (s *Server) SSHSecret() map[string][]byte {
	return map[string][]byte{"ssh-privatekey": s.ssh.userKey, "known_hosts": s.ssh.knownHosts()}
}

// Create makes an empty repository, with settings such as uploadpack.allowFilter=true.
func (s *Server) Create(ctx context.Context, name string, settings ...string) error {
	if _, err := Run(ctx, s.dir, nil, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", name); err != nil {
		return err
	}
	config, err := os.OpenFile(filepath.Join(s.dir, name, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, setting := range append(settings, "http.receivepack=true", "gc.auto=0", "receive.autogc=false") {
		section, rest, _ := strings.Cut(setting, ".")
		if _, err := fmt.Fprintf(config, "[%s]\n\t%s\n", section, rest); err != nil {
			config.Close()
			return err
		}
	}
	return config.Close()
}

// Git runs the git program in a repository.
func (s *Server) Git(ctx context.Context, name string, arguments ...string) ([]byte, error) {
	return Run(ctx, filepath.Join(s.dir, name), nil, arguments...)
}

// Run runs the git program in a folder.
func Run(ctx context.Context, dir string, input io.Reader, arguments ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", arguments...)
	cmd.Dir, cmd.Stdin, cmd.Env = dir, input, Environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("git %s: %w: %s", arguments[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}
