package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"kollect.io/kollect/test/child"
)

// Bouncer is a running PgBouncer that pools transactions: a client has another
// session of the server for each.
type Bouncer struct {
	folder string
	port   int
	server *child.Process
}

// StartBouncer starts a PgBouncer with few sessions before the server.
func StartBouncer(ctx context.Context, s *Server) (_ *Bouncer, err error) {
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; !exists(program) {
			return nil, errors.New("PgBouncer is missing: apt-get install pgbouncer")
		}
	}
	b := &Bouncer{}
	if b.folder, err = os.MkdirTemp("", "kollect-pgbouncer-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Stop())
		}
	}()
	if b.port, err = child.FreePort(); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_round_robin = 1
`, s.port, User, Password, b.port)
	name := filepath.Join(b.folder, "pgbouncer.ini")
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if err := giveAway(b.folder); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, name)
	cmd.Dir, cmd.SysProcAttr = b.folder, unprivileged()
	if b.server, err = child.Start(cmd, filepath.Join(b.folder, "log"), false); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return b, b.server.Await(ctx, func(ctx context.Context) error { return ping(ctx, b.DSN("postgres")) })
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// DSN returns a connection string.
func (b *Bouncer) DSN(database string) string {
	return dsn(b.port, "anybody", "anything", database, "sslmode=disable")
}

// Stop ends it and removes its folder.
func (b *Bouncer) Stop() error {
	if b.server != nil {
		b.server.End(syscall.SIGTERM)
	}
	return os.RemoveAll(b.folder)
}
