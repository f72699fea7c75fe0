package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// pid returns the number of a process of the control plane.
func (e *environment) pid(b *testing.B, name string) int {
	b.Helper()
	for _, p := range e.controlPlane.Processes() {
		if p.Name == name && p.Running {
			return p.PID
		}
	}
	b.Fatalf("%s does not run", name)
	return 0
}

// processor returns how much processor time a process has used.
func processor(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(b, err)
	// The second field is the command in parentheses, and may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system, tick = 11, 12, 10 * time.Millisecond // as Linux has it everywhere
	var ticks int
	for _, field := range fields[user : system+1] {
		n, err := strconv.Atoi(string(field))
		must(b, err)
		ticks += n
	}
	return time.Duration(ticks) * tick
}

var (
	residentNow  = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)
	residentPeak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
)

// resident returns the bytes of memory of a process, now or at most.
func resident(b *testing.B, pid int, which *regexp.Regexp) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(b, err)
	found := which.FindSubmatch(status)
	if found == nil {
		b.Fatalf("process %d has no %s", pid, which)
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	must(b, err)
	return kilobytes << 10
}

// peak returns by how many bytes a process grows while f runs, from when it was
// idle: its garbage collected, and the memory given back that it gives back.
func (e *environment) peak(b *testing.B, s *side, f func()) int {
	b.Helper()
	pid := e.pid(b, s.process)
	idle := e.settle(b, s, pid)
	must(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)) // resets the peak
	f()
	return resident(b, pid, residentPeak) - idle
}

// settle waits until a process gives back no more memory.
func (e *environment) settle(b *testing.B, s *side, pid int) int {
	b.Helper()
	for range 2 { // what has a finalizer goes with the second collection
		_, err := read(b.Context(), s.client, s.config.Host+"/debug/pprof/heap?gc=1", "*/*", io.Discard)
		must(b, err)
	}
	const still, limit = 3 * time.Second, time.Minute
	least, since := resident(b, pid, residentNow), time.Now()
	for began := since; time.Since(since) < still && time.Since(began) < limit; {
		pause(b.Context(), 100*time.Millisecond)
		if now := resident(b, pid, residentNow); now < least-least/100 {
			least, since = now, time.Now()
		}
	}
	return resident(b, pid, residentNow)
}
