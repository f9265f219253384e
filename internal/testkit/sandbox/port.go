package sandbox

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

// freePort returns a free port of 127.0.0.1. It is below the range of outgoing connections (Linux 32768, macOS 49152), so
// that none of them takes it while the server is down. held is the UDP port of the same number, which reserves the port
// against other sandboxes.
func freePort() (port int, held io.Closer, err error) {
	const lowest, count = 15000, 17000
	var last error
	for range 100 {
		port := lowest + rand.IntN(count) //nolint:gosec // no secret
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		held, err := net.ListenPacket("udp", addr) //nolint:noctx // immediate
		if err != nil {
			last = err
			continue
		}
		l, err := net.Listen("tcp", addr) //nolint:noctx // immediate
		if err != nil {
			last = errors.Join(err, held.Close())
			continue
		}
		if err := l.Close(); err != nil {
			return 0, nil, errors.Join(fmt.Errorf("find a free port: %w", err), held.Close())
		}
		return port, held, nil
	}
	return 0, nil, errors.Join(errors.New("find a free port: a hundred attempts failed"), last)
}
