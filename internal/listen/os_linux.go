package listen

import "syscall"

// openFiles returns the open-file limit of the process. Go has raised it to the hard limit at
// the start (package syscall).
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur) //nolint:gosec // it is below 1<<30
}

// boundBuffers bounds the kernel's buffers of a listener's connections, which inherit them.
// The window that is announced to a client depends on it, so it must be set before the
// connection.
func boundBuffers(fd uintptr) error {
	if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer); err != nil { //nolint:gosec // a descriptor
		return err //nolint:wrapcheck // net wraps it
	}
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer) //nolint:gosec,wrapcheck // likewise
}
