//go:build unix && !linux

package auth

import "syscall"

func yield(int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lower) }
