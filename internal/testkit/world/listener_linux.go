package world

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// BreakListener makes the listener of a process on an address fail: each accept returns
// an error from now on. It needs the rights of a debugger over the process.
func BreakListener(pid int, address string) error {
	want, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process) //nolint:errcheck // nothing is lost with it
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return err
	}
	for _, f := range files {
		fd, err := strconv.Atoi(f.Name())
		if err != nil {
			continue
		}
		socket, err := unix.PidfdGetfd(process, fd, 0)
		if err != nil {
			continue // it was closed meanwhile
		}
		listens, _ := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		name, _ := unix.Getsockname(socket)
		found := false
		if v4, ok := name.(*unix.SockaddrInet4); ok && listens == 1 && v4.Port == int(want.Port()) {
			found, err = true, unix.Shutdown(socket, unix.SHUT_RDWR)
		}
		_ = unix.Close(socket)
		if found {
			return err
		}
	}
	return fmt.Errorf("process %d has no listener on %s", pid, address)
}
