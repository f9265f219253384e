package auth

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// lowerThreadPriority sets the policy SCHED_IDLE (sched(7)). Threads that serve sockets then
// preempt the thread at once. With a nice value they would wait some milliseconds for the end
// of its time slice.
func lowerThreadPriority(thread int) {
	if unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0) != nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, niceValue)
	}
}
