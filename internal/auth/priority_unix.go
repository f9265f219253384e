//go:build unix

package auth

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// niceValue is the priority of password processes on systems without an idle policy. They get
// a tenth of a busy processor.
const niceValue = 10

// lowerPriority lowers the priority of each thread of this process, because priorities belong to
// threads on Linux. New threads inherit it. Errors are ignored: the work gets done anyway.
func lowerPriority() {
	lowerThreadPriority(0)
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			lowerThreadPriority(id)
		}
	}
}

// detach gives the process its own process group, so that Ctrl-C in a terminal does not kill it
// before the server has finished.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
