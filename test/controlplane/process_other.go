//go:build unix && !linux

package controlplane

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// startTime identifies the running process that has the number pid by the
// second in which it started. It is an error if there is none, or only a zombie.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("read start time: %w", err)
	}
	state, start, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if !ok || strings.HasPrefix(state, "Z") {
		return "", errors.New("read start time: the process has ended")
	}
	return strings.TrimSpace(start), nil
}
