//go:build !linux

package postgres

import (
	"syscall"
	"time"
)

// userTimeout does nothing where the kernel has no such time-out.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
