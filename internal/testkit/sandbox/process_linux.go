package sandbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// relative is one process as its family sees it.
type relative struct {
	parent int
	state  byte // R, S, D, T, Z …: proc_pid_stat(5)
}

// processes lists every process that can be seen.
func processes() (map[int]relative, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err //nolint:wrapcheck // names the path
	}
	all := make(map[int]relative, len(entries))
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue // it has ended since
		}
		// The second field, the command, may hold anything, brackets and blanks included.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			continue
		}
		all[pid] = relative{parent: parent, state: fields[0][0]}
	}
	return all, nil
}

// commandLine returns what pid was started with, or "".
func commandLine(pid int) string {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(string(raw), "\x00", " ")
}
