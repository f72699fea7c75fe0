package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Program is a server that runs beside the control plane, as its own do: on
// record, with its log among theirs, until Stop.
type Program struct {
	// Name tells it from the others. It names the log.
	Name string
	// Command is not started yet. The user that it runs as may be another.
	Command *exec.Cmd
	// Ready says why it does not answer yet.
	Ready func(context.Context) error
	// Quit asks it to end. Default: SIGTERM.
	Quit syscall.Signal
}

// StartProgram starts a program, again after KillProgram, and returns when it is
// ready. It does nothing if one of that name runs. On an error it does not run.
func (cp *ControlPlane) StartProgram(ctx context.Context, p Program) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	if cp.running(p.Name) {
		return nil
	}
	return cp.run(ctx, p)
}

// KillProgram ends a program as a crash does.
func (cp *ControlPlane) KillProgram(name string) error {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	return cp.end(name, 0)
}

// TempDir makes a folder for a program that can't have one in Options.Dir, such
// as one of another user, who may not get there. Stop removes it.
func (cp *ControlPlane) TempDir(name string) (string, error) {
	cp.mu.Lock()
	defer cp.mu.Unlock()
	dir, err := os.MkdirTemp("", "kollect-"+name+"-")
	if err != nil {
		return "", fmt.Errorf("create folder for %s: %w", name, err)
	}
	cp.state.TempDirs = append(cp.state.TempDirs, dir)
	if err := cp.save(); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// run starts a process, puts it on record and waits until it is ready. One that
// does not become ready is ended. What was logged before is left out of the
// error, as each start has a log of its own.
func (cp *ControlPlane) run(ctx context.Context, program Program) error {
	log := cp.LogPath(program.Name)
	if err := keepOldLog(log); err != nil {
		return fmt.Errorf("start %s: %w", program.Name, err)
	}
	p, err := startProcess(program.Name, program.Command, log, cp.opts.Detach)
	if err != nil {
		return err
	}
	p.Quit = program.Quit
	if err := cp.record(p); err != nil {
		return err
	}
	if err := p.waitReady(ctx, program.Ready); err != nil {
		return errors.Join(err, cp.end(program.Name, 0))
	}
	return nil
}
