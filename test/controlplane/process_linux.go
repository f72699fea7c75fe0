package controlplane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// startTime identifies the running process that has the number pid: the boot it
// runs in, and the clock tick in which it started. It is an error if there is
// none, or only a zombie.
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", fmt.Errorf("read start time: %w", err)
	}
	// The second field is the command in parentheses, and may hold anything.
	_, rest, ok := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", fmt.Errorf("read start time: unexpected %q", stat)
	}
	if state := fields[0][0]; state == 'Z' || state == 'X' {
		return "", errors.New("read start time: the process has ended")
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read start time: %w", err)
	}
	return string(bytes.TrimSpace(boot)) + "/" + string(fields[19]), nil
}
