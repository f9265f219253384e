package bench_test

import (
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelMemory is how many bytes the kernel holds for those TCP sockets of this
// process whose peers have one of the ports.
func kernelMemory(ports []string) (held int, err error) {
	wanted := map[int]bool{}
	for _, text := range ports {
		port, err := strconv.Atoi(text)
		if err != nil {
			return 0, err
		}
		wanted[port] = true
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	found := 0
	for _, entry := range open {
		fd, _ := strconv.Atoi(entry.Name())
		port := 0
		switch peer, _ := unix.Getpeername(fd); peer := peer.(type) {
		case *unix.SockaddrInet4:
			port = peer.Port
		case *unix.SockaddrInet6:
			port = peer.Port
		}
		if !wanted[port] {
			continue
		}
		n, err := socketMemory(fd)
		if err != nil {
			return 0, err
		}
		found++
		held += n
	}
	if found != len(wanted) {
		return 0, fmt.Errorf("found %d of %d sockets", found, len(wanted))
	}
	return held, nil
}

// socketMemory adds up what SO_MEMINFO says of a socket (include/uapi/linux/sock_diag.h,
// SK_MEMINFO_*): received and not read, allocated ahead, queued to be sent or
// acknowledged, options, backlog.
func socketMemory(fd int) (int, error) {
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("SO_MEMINFO: %w", errno)
	}
	return int(info[0] + info[4] + info[5] + info[6] + info[7]), nil
}
