package session

import (
	"net"

	"golang.org/x/sys/unix"
)

func setLowWater(t *net.TCPConn) {
	if raw, err := t.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, lowWater)
		})
	}
}
