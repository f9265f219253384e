//go:build unix

package openfiles

import "syscall"

// Limit returns the open-file limit of the process (RLIMIT_NOFILE), or 0 if there is none or it
// is unknown. Go has raised it to the hard limit at the start (package syscall).
func Limit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur) //nolint:gosec // it is below 1<<30
}
