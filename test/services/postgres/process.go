package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// process is a program that runs as an unprivileged user and dies with this one,
// where the system can see to it.
type process struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

func start(cmd *exec.Cmd, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr, cmd.Dir = out, out, filepath.Dir(log)
	cmd.SysProcAttr = unprivileged()
	dieWithParent(cmd.SysProcAttr)
	p := &process{cmd: cmd, log: log, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel takes the end of the thread that forked for the parent's end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return p, nil
}

var errEnded = errors.New("the program has ended")

// await waits until the program answers.
func (p *process) await(ctx context.Context, ask func(context.Context) error) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			log, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s: %w: %s", filepath.Base(p.cmd.Path), errEnded, log)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", filepath.Base(p.cmd.Path), err)
		case <-again.C:
		}
	}
}

// end signals the program and waits for its end.
func (p *process) end(signal syscall.Signal) {
	_ = p.cmd.Process.Signal(signal) // or it has ended
	<-p.exited
}

// unprivileged has root run a program as somebody else: PostgreSQL refuses root.
func unprivileged() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if uid, gid, ok := other(); ok {
		attr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return attr
}

// giveAway hands a folder to whom unprivileged programs run as.
func giveAway(folder string) error {
	uid, gid, ok := other()
	if !ok {
		return nil
	}
	return filepath.WalkDir(folder, func(name string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(name, int(uid), int(gid)))
	})
}

// other returns whom root runs programs as.
func other() (uid, gid uint32, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	const nobody = 65534
	if u, err := user.Lookup("postgres"); err == nil {
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(id), uint32(group), true
		}
	}
	return nobody, nobody, true
}

// freePort returns a loopback port that nobody listens on, from below the range
// of outgoing connections, so that a server can have it again after a restart.
func freePort() (int, error) {
	const low, high = 15000, 32000
	for range 100 {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, errors.New("find a free port: tried 100")
}
