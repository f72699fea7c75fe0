// Package postgres runs PostgreSQL, and PgBouncer before it, for tests: Debian's
// programs, in a temporary folder and on a loopback port of their own, as an
// unprivileged user. Its invariant: what it has started ends with it.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"kollect.io/kollect/test/child"
	"kollect.io/kollect/test/services/pki"
)

const (
	// User of a server, and Password, with which it may do everything.
	User     = "admin"
	Password = "s3cret-of-admin"
	// Certified is a user who has a client certificate and no password.
	Certified = "certified"
)

// Quit has a server end in order, and all connections with it.
const Quit = syscall.SIGINT

// Server is a running server.
type Server struct {
	folder string // its own: data, certificates, log
	bin    string
	port   int
	ca     *pki.Authority
	server *child.Process // nil: it is down
}

// Start makes a server and waits until it answers.
func Start(ctx context.Context) (*Server, error) {
	folder, err := os.MkdirTemp("", "kollect-postgres-")
	if err != nil {
		return nil, err
	}
	s, err := Make(ctx, folder)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := s.Up(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Make makes a server in an empty folder, which is given away to who it runs as,
// and does not start it.
func Make(ctx context.Context, folder string) (*Server, error) {
	bin, err := Programs()
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder, bin: bin}
	if s.port, err = child.FreePort(); err != nil {
		return nil, err
	}
	return s, s.init(ctx)
}

// Programs returns the folder of the newest server's programs, such as psql.
func Programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL is missing: apt-get install postgresql")
}

// init makes the data, the certificates and the configuration.
func (s *Server) init(ctx context.Context) (err error) {
	if s.ca, err = pki.NewAuthority(); err != nil {
		return err
	}
	certificate, key, err := s.ca.Issue("localhost")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"password": []byte(Password), "ca.crt": s.ca.PEM, "server.crt": certificate, "server.key": key,
		"pg_hba.conf": []byte("hostssl all " + Certified + " 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 scram-sha-256\n"),
	} {
		if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
			return err
		}
	}
	if err := giveAway(s.folder); err != nil {
		return err
	}
	initdb := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata="+s.path("data"), "--username="+User,
		"--pwfile="+s.path("password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.folder, unprivileged()
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (s *Server) path(name string) string { return filepath.Join(s.folder, name) }

// Command returns the program with its arguments.
func (s *Server) Command() *exec.Cmd {
	args := []string{"-D", s.path("data")}
	for name, value := range map[string]string{
		"port": strconv.Itoa(s.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "hba_file": s.path("pg_hba.conf"),
		"ssl": "on", "ssl_cert_file": s.path("server.crt"), "ssl_key_file": s.path("server.key"), "ssl_ca_file": s.path("ca.crt"),
		"fsync": "off", "max_connections": "100", "shared_buffers": "64MB", "max_wal_size": "512MB",
	} {
		args = append(args, "-c", name+"="+value)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir, cmd.SysProcAttr = s.folder, unprivileged()
	return cmd
}

// Ready says why the server does not answer.
func (s *Server) Ready(ctx context.Context) error { return ping(ctx, s.DSN("postgres")) }

// Up starts the server, if it is down, and waits until it answers.
func (s *Server) Up(ctx context.Context) error {
	if s.server != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		server, err := child.Start(s.Command(), s.path("log"), false)
		if err != nil {
			return err
		}
		s.server = server
		err = server.Await(ctx, s.Ready)
		if !errors.Is(err, child.ErrEnded) || ctx.Err() != nil {
			return err
		}
		// What it left when it was killed has not ended yet.
	}
}

// ping asks a server for an answer.
func ping(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Down has the server end in order, and all connections with it.
func (s *Server) Down() { s.end(Quit) }

func (s *Server) end(signal syscall.Signal) {
	if s.server != nil {
		s.server.End(signal)
		s.server = nil
	}
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	s.Down()
	return os.RemoveAll(s.folder)
}

// Port is where the server listens on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// DSN returns the connection string of User, without TLS.
func (s *Server) DSN(database string) string {
	return dsn(s.port, User, Password, database, "sslmode=disable")
}

// CA returns the certificate of the authority, in PEM form, that has signed the
// server's, which is for localhost and 127.0.0.1.
func (s *Server) CA() []byte { return s.ca.PEM }

// ClientCertificate returns a certificate of the user, and its key.
func (s *Server) ClientCertificate(user string) (certificate, key []byte, err error) {
	return s.ca.Issue(user)
}

func dsn(port int, user, password, database, query string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: "127.0.0.1:" + strconv.Itoa(port), Path: database, RawQuery: query}
	return u.String()
}

// answerTimeout bounds how long a server takes to answer.
const answerTimeout = 30 * time.Second

// Psql returns what psql prints for a query, as User: a line for each row, with
// values apart by bars.
func (s *Server) Psql(ctx context.Context, database, query string) (string, error) {
	psql := exec.CommandContext(ctx, filepath.Join(s.bin, "psql"), "--no-psqlrc", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1",
		"--command="+query, s.DSN(database))
	out, err := psql.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("psql: %w: %s", err, out)
	}
	return string(out), nil
}
