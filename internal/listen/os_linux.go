package listen

import "syscall"

// boundBuffers bounds the kernel's buffers of a listener's connections, which inherit them.
// The window that is announced to a client depends on it, so it must be set before the
// connection.
func boundBuffers(fd uintptr) error {
	if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer); err != nil { //nolint:gosec // a descriptor
		return err //nolint:wrapcheck // net wraps it
	}
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer) //nolint:gosec,wrapcheck // likewise
}
