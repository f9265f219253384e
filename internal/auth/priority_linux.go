package auth

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// yield gives a thread the policy SCHED_IDLE (sched(7)): whoever has to do with a
// socket gets the processor at once, where a nice value would let them wait for the
// end of a slice of some milliseconds.
func yield(thread int) {
	if unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0) != nil {
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, thread, lower)
	}
}
