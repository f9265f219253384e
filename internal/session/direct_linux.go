package session

import (
	"errors"
	"net"
	"syscall"
)

// isDirect reports whether a batch can be written to c by writeNow.
func isDirect(c net.Conn) bool { return tcp(c) != nil }

// writeNow writes the part of the batch that the kernel takes without waiting. No deadline is
// needed. An error is found by the next write, which waits.
func (b *batch) writeNow(c net.Conn) {
	if raw, err := tcp(c).SyscallConn(); err == nil {
		_ = raw.Write(b.try)
	}
}

// tryWrite always returns true, so that nobody waits for the kernel to take more.
func (b *batch) tryWrite(fd uintptr) bool {
	for {
		n, err := syscall.Write(int(fd), b.buf) //nolint:gosec // a file descriptor
		if n > 0 {
			b.sent = n
		}
		if !errors.Is(err, syscall.EINTR) {
			return true
		}
	}
}
