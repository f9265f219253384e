//go:build unix && !linux

package auth

import "syscall"

func lowerThreadPriority(int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceValue) }
