package controlplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"kollect.io/kollect/test/child"
)

// process is a running program: a child of this process, or one that an earlier
// process started and put on record.
type process struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start string `json:"start"` // startTime of PID, which tells it from a later process of that number
	Log   string `json:"log"`
	// Quit asks it to end; 0 is SIGTERM.
	Quit syscall.Signal `json:"quit,omitempty"`

	exited <-chan struct{} // closed once a child was waited for; nil for what another process started
}

// startProcess runs cmd with its output appended to the file log. A detached
// process outlives this one and is in a session of its own; any other dies with
// this one, where the system can see to it. Whom cmd runs as is left as it is.
func startProcess(name string, cmd *exec.Cmd, log string, detach bool) (*process, error) {
	started, err := child.Start(cmd, log, detach)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{Name: name, Log: log, exited: started.Exited}
	p.PID = cmd.Process.Pid
	if p.Start, err = startTime(p.PID); err != nil && !p.endsWithin(time.Second) {
		_ = cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// running tells whether the process, and not another of its number, is alive.
func (p *process) running() bool {
	start, err := startTime(p.PID)
	return err == nil && start == p.Start && !p.waitedFor()
}

// waitedFor tells whether the process is a child that ended and left nothing.
func (p *process) waitedFor() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// gone tells whether the process ended, and if it is a child, left nothing.
func (p *process) gone() bool {
	if p.exited != nil {
		return p.waitedFor()
	}
	return !p.running()
}

// stop asks the process to end, makes it end after grace, and returns once it
// has ended. A process that runs no more is left alone.
func (p *process) stop(grace time.Duration) error {
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("stop %s: %w", p.Name, err)
	}
	defer handle.Release()
	if !p.running() { // asked after the handle was taken: it holds on to this very process
		if p.exited != nil {
			<-p.exited
		}
		return nil
	}
	signals := []syscall.Signal{cmp.Or(p.Quit, syscall.SIGTERM), syscall.SIGKILL}
	if grace <= 0 {
		signals = signals[1:]
	}
	for _, signal := range signals {
		if err := handle.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop %s: %w", p.Name, err)
		}
		wait := grace
		if signal == syscall.SIGKILL {
			wait = 10 * time.Second
		}
		if p.endsWithin(wait) {
			return nil
		}
	}
	return fmt.Errorf("stop %s: process %d still runs after being killed", p.Name, p.PID)
}

func (p *process) endsWithin(d time.Duration) bool {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-p.exited:
			return true
		case <-ticker.C:
			if p.gone() {
				return true
			}
		case <-timeout.C:
			return p.gone()
		}
	}
}

// waitReady returns once ready returns nil. It gives up when the process, which
// is a child, ends, when ctx does, or after waitLimit; the error then holds the
// last lines of the process's log.
func (p *process) waitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit, fmt.Errorf("not ready after %s", waitLimit))
	defer cancel()
	// Also ends a question that somebody else on the port leaves unanswered.
	alive, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-p.exited:
			end(errors.New("it ended"))
		case <-alive.Done():
		}
	})
	err := poll(alive, ready)
	end(nil)
	watching.Wait()
	if err != nil {
		return &startError{name: p.Name, log: p.Log, tail: child.Tail(p.Log, 40), err: err}
	}
	return nil
}

// startError is a process that did not become ready.
type startError struct {
	name, log, tail string
	err             error
}

func (e *startError) Error() string {
	return fmt.Sprintf("start %s: %v; the end of %s:\n%s", e.name, e.err, e.log, e.tail)
}

func (e *startError) Unwrap() error { return e.err }

// portTaken tells whether err is a process that ended because another had its
// port.
func portTaken(err error) bool {
	var start *startError
	return errors.As(err, &start) && strings.Contains(start.tail, "address already in use")
}

// keepOldLog moves the log of an earlier start aside.
func keepOldLog(path string) error {
	err := os.Rename(path, path+".old")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
