//go:build !linux

package sandbox

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// setParentDeathSignal does nothing: these systems have no such signal.
func setParentDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

// processInfo is one entry of the process list.
type processInfo struct {
	parent int
	state  byte // as ps writes it: T is stopped, Z a zombie
}

// processes lists all visible processes.
func processes() (map[int]processInfo, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,state=").Output() //nolint:noctx // milliseconds
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make(map[int]processInfo)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		pid, errPID := strconv.Atoi(fields[0])
		parent, errParent := strconv.Atoi(fields[1])
		if errPID == nil && errParent == nil {
			all[pid] = processInfo{parent: parent, state: fields[2][0]}
		}
	}
	return all, nil
}

// commandLine returns the command line of a process, or "".
func commandLine(pid int) string {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx,gosec // a number
	if err != nil {
		return ""
	}
	return string(out)
}
