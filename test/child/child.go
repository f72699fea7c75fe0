// Package child starts the programs that tests and the development stack run.
//
// Its invariant: unless it is meant to, no program outlives the process that has
// started it, where the system can see to it.
package child

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started.
type Process struct {
	// Cmd is only to be read.
	Cmd *exec.Cmd
	// Log is the file that its output is appended to.
	Log string
	// Exited is closed once it has ended, and nothing of it is left.
	Exited <-chan struct{}
}

// Start runs cmd with its output appended to the file log. A detached process
// outlives this one and is in a session of its own; any other dies with this one,
// where the system can see to it. Whom cmd runs as is left as it is.
func Start(cmd *exec.Cmd, log string, detach bool) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Setsid = detach; !detach {
		dieWithParent(cmd.SysProcAttr)
	}
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel takes the end of the thread that forked for the parent's end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return &Process{Cmd: cmd, Log: log, Exited: exited}, nil
}

// ErrEnded says that a program ended before it answered.
var ErrEnded = errors.New("the program has ended")

// Await asks until there is no error. It returns an error with the end of the log
// if the program ends before, or ctx does.
func (p *Process) Await(ctx context.Context, ask func(context.Context) error) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.Exited:
			return fmt.Errorf("%s: %w: %s", filepath.Base(p.Cmd.Path), ErrEnded, Tail(p.Log, 40))
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %s", filepath.Base(p.Cmd.Path), err, Tail(p.Log, 40))
		case <-again.C:
		}
	}
}

// End signals the program and waits for its end.
func (p *Process) End(signal syscall.Signal) {
	_ = p.Cmd.Process.Signal(signal) // or it has ended
	<-p.Exited
}

// Tail returns the last n lines of a file, or why it cannot be read.
func Tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
