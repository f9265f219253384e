package session

import (
	"net"
	"syscall"
	"unsafe"
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

// tryWrite always returns true, so that nobody waits for the kernel to take more. The descriptor
// does not block, so the scheduler need not know of the call.
func (b *batch) tryWrite(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b.buf[0])), uintptr(len(b.buf)))
		switch errno {
		case 0:
			b.sent = int(n) //nolint:gosec // at most len(b.buf)
		case syscall.EINTR:
			continue
		}
		return true
	}
}
