//go:build !linux

package postgres

import (
	"syscall"
	"time"
)

// userTimeout returns nil: the timeout exists on Linux only.
func userTimeout(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
