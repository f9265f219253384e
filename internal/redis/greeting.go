package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"time"
)

// greetingLimit is how long a Redis may take to say why it takes no client.
const greetingLimit = 300 * time.Millisecond

// greeted replaces the error of a connection that was cut while we wrote to it. A
// Redis that takes no more clients says so before anything is asked (ERR max number of
// clients reached) and hangs up; the library writes first, and sees no more than that
// the connection is gone.
func (c *Client) greeted(ctx context.Context, err error) error {
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, greetingLimit)
	defer cancel()
	first, _, _ := strings.Cut(c.address, ",")
	conn, dialErr := new(net.Dialer).DialContext(ctx, "tcp", first)
	if dialErr != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(greetingLimit)) // without one it is waited for longer
	line := make([]byte, 200)
	n, _ := conn.Read(line) // nothing is the usual answer
	said, _, whole := strings.Cut(string(line[:n]), "\r\n")
	if text, refused := strings.CutPrefix(said, "-"); refused && whole {
		return errors.New(text)
	}
	return err
}
