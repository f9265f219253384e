//go:build unix

package auth

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// lower is the nice value of a process for passwords, for systems that know nothing
// lower: it gets a tenth of a processor, and all that nobody else wants.
const lower = 10

// stepBack lowers the priority of this process: of each thread, since Linux keeps
// it by thread; those to come inherit it. It goes as well as it goes: it is a
// courtesy.
func stepBack() {
	yield(0)
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			yield(id)
		}
	}
}

// apart keeps a terminal's Ctrl-C from the process: it ends when its work does.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
