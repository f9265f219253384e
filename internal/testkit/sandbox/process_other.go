//go:build !linux

package sandbox

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent has no counterpart here.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

// relative is one process as its family sees it.
type relative struct {
	parent int
	state  byte // as ps writes it: T is stopped, Z a zombie
}

// processes lists every process that can be seen.
func processes() (map[int]relative, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,state=").Output() //nolint:noctx // milliseconds
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	all := make(map[int]relative)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		pid, errPID := strconv.Atoi(fields[0])
		parent, errParent := strconv.Atoi(fields[1])
		if errPID == nil && errParent == nil {
			all[pid] = relative{parent: parent, state: fields[2][0]}
		}
	}
	return all, nil
}

// commandLine returns what pid was started with, or "".
func commandLine(pid int) string {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output() //nolint:noctx,gosec // a number
	if err != nil {
		return ""
	}
	return string(out)
}
