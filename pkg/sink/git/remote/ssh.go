package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSH reaches a repository at a URL that starts with ssh://. config says who the
// sink is and which host keys are trusted.
func SSH(repository *url.URL, config *ssh.ClientConfig, dial Dial) Transport {
	port := repository.Port()
	if port == "" {
		port = "22"
	}
	path := repository.Path
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // someone's home
	}
	return &overSSH{address: net.JoinHostPort(repository.Hostname(), port), path: path, config: config, dial: dial}
}

type overSSH struct {
	address, path string
	config        *ssh.ClientConfig
	dial          Dial
}

func (o *overSSH) stateless() bool { return false }

func (o *overSSH) close() {}

func (o *overSSH) open(ctx context.Context, service string) (session, error) {
	client, stop, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &stream{client: client, stop: stop}
	if err := s.start(service, o.path); err != nil {
		s.close()
		return nil, fmt.Errorf("run %s: %w", service, err)
	}
	// A server that refuses says so on its standard error and hangs up.
	if _, err := s.hello.r.Peek(4); err != nil {
		defer s.close()
		return nil, s.refusal(cut(err))
	}
	return s, nil
}

// connect returns a connection that ends with the context, unless stop is called.
func (o *overSSH) connect(ctx context.Context) (*ssh.Client, func() bool, error) {
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := o.dial(dialling, "tcp", o.address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		conn.Close()
		return nil, nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, o.address, o.config)
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, explainHandshake(err)
	}
	return ssh.NewClient(c, channels, requests), stop, nil
}

// explainHandshake says whether another try can help.
func explainHandshake(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, ErrUntrusted) || errors.As(err, &network):
		return err
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	}
	return err
}

// stream is a session over SSH: one conversation in both directions.
type stream struct {
	client  *ssh.Client
	stop    func() bool
	session *ssh.Session
	in      io.WriteCloser
	hello   *lines
	errors  errorOutput
}

func (s *stream) start(service, path string) error {
	var err error
	if s.session, err = s.client.NewSession(); err != nil {
		return err
	}
	if service == uploadPack {
		// Servers that do not take it speak version 0.
		_ = s.session.Setenv("GIT_PROTOCOL", "version=2")
	}
	if s.in, err = s.session.StdinPipe(); err != nil {
		return err
	}
	out, err := s.session.StdoutPipe()
	if err != nil {
		return err
	}
	s.session.Stderr = &s.errors
	s.hello = newLines(out)
	return s.session.Start(service + " '" + strings.ReplaceAll(path, "'", `'\''`) + "'")
}

// refusal says why a server hung up.
func (s *stream) refusal(err error) error {
	wait := s.session.Wait()
	said := s.errors.text.String()
	var exit *ssh.ExitError
	switch {
	case said == "":
		return err
	case !errors.As(wait, &exit):
		return fmt.Errorf("%w: %s", err, said)
	}
	for _, word := range []string{"not found", "does not exist", "does not appear to be a git repository", "could not be found"} {
		if strings.Contains(strings.ToLower(said), word) {
			return fmt.Errorf("%w: %s", ErrNotFound, said)
		}
	}
	for _, word := range []string{"denied", "read-only", "not allowed", "not authorized", "deploy key"} {
		if strings.Contains(strings.ToLower(said), word) {
			return fmt.Errorf("%w: %s", ErrUnauthorized, said)
		}
	}
	return fmt.Errorf("%w: %s", err, said)
}

func (s *stream) greeting() *lines { return s.hello }

// ask sends the request. The answer is what comes next, without an end: closing it
// does nothing.
func (s *stream) ask(_ context.Context, body io.Reader, _ int64) (io.ReadCloser, error) {
	if _, err := io.Copy(s.in, body); err != nil {
		return nil, cut(err)
	}
	return io.NopCloser(s.hello.r), nil
}

func (s *stream) close() {
	if s.in != nil {
		s.in.Close()
	}
	if s.session != nil {
		s.session.Close()
	}
	s.stop()
	s.client.Close()
	s.client.Wait()
}

// errorOutput is what a server's program writes to its standard error.
type errorOutput struct{ text messages }

func (e *errorOutput) Write(p []byte) (int, error) {
	e.text.add(string(p))
	return len(p), nil
}
