package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kollect.io/kollect/test/child"
)

// parentVariable has the test binary be the parent that is killed.
const parentVariable = "KOLLECT_TEST_PARENT_LOG"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
	log := os.Getenv(parentVariable)
	if log == "" {
		os.Exit(m.Run())
	}
	p, err := startProcess("sleep", exec.Command("sleep", "600"), log, false)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(p.PID, p.Start)
	<-p.exited
}

func TestProcessDiesWithItsParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentVariable+"="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	child := &process{Name: "sleep"}
	if n, err := fmt.Sscan(line, &child.PID, &child.Start); n != 2 {
		t.Fatalf("read what the parent started: %v, %v", readErr, err)
	}
	if !child.endsWithin(time.Minute) {
		t.Errorf("process %d outlives its parent", child.PID)
	}
}

func TestStopLeavesAnotherProcessOfTheSameNumberAlone(t *testing.T) {
	p, err := startProcess("sleep", exec.Command("sleep", "600"), filepath.Join(t.TempDir(), "log"), false)
	if err != nil {
		t.Fatal(err)
	}
	earlier := &process{Name: "earlier", PID: p.PID, Start: p.Start + "0"}
	if earlier.running() {
		t.Error("a process runs by the number of another")
	}
	if err := earlier.stop(time.Second); err != nil {
		t.Error(err)
	}
	if !p.running() {
		t.Error("the process of the same number was stopped")
	}
	opened := &process{Name: "sleep", PID: p.PID, Start: p.Start}
	if err := opened.stop(time.Minute); err != nil {
		t.Error(err)
	}
	if p.running() || opened.running() {
		t.Error("the process runs after it was stopped")
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := startProcess("stubborn", exec.Command("sh", "-c", "trap '' TERM; echo ready; exec sleep 600"), log, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.waitReady(t.Context(), func(context.Context) error {
		if child.Tail(log, 1) != "ready" {
			return errors.New("not ready")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.stop(50 * time.Millisecond); err != nil {
		t.Error(err)
	}
	if p.running() {
		t.Error("the process runs after it was stopped")
	}
}

func TestEndOfAProcessEndsTheWait(t *testing.T) {
	p, err := startProcess("failing", exec.Command("sh", "-c", "echo reason; exit 1"), filepath.Join(t.TempDir(), "log"), false)
	if err != nil {
		t.Fatal(err)
	}
	err = p.waitReady(t.Context(), func(ctx context.Context) error {
		<-ctx.Done() // as a question that nobody answers
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "it ended") || !strings.HasSuffix(err.Error(), "reason") {
		t.Errorf("got %v, want that it ended, and its log", err)
	}
}
