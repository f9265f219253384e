package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// refusalTimeout bounds the second connection that asks why the first was closed.
const refusalTimeout = 300 * time.Millisecond

// refusals are how Redis begins to refuse a connection, whatever it was sent.
var refusals = [][]byte{[]byte("-ERR max number of clients"), []byte("-DENIED")}

// isRefusal reports whether a text refuses the connection.
func isRefusal(said []byte) bool {
	return slices.ContainsFunc(refusals, func(r []byte) bool { return bytes.HasPrefix(said, r) })
}

// refusalText returns the first line of what a server has said, without the mark of an error.
func refusalText(said []byte) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(string(said), "-"), "\r\n")
	return line
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.heard.CompareAndSwap(false, true) && isRefusal(b[:n]) {
		text := refusalText(b[:n]) // go-redis takes it for the reply to a command whose errors it ignores
		c.refusal.Store(&text)
	}
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.explain(err)
}

// explain replaces err with the reason for which the server closed the connection: it has
// too many clients, or it is in protected mode. Such a server sends its refusal at once
// and closes. If the client has written meanwhile, the kernel may drop the refusal. So
// explain dials once more, writes nothing, and reads what the server says.
func (c *conn) explain(err error) error {
	if err == nil || !isHangUp(err) {
		return err
	}
	if c.heard.CompareAndSwap(false, true) { // at most one further dial
		if text := c.askAgain(); text != "" {
			c.refusal.Store(&text)
		}
	}
	if text := c.refusal.Load(); text != nil {
		return fmt.Errorf("%s (%w)", *text, err)
	}
	return err
}

// askAgain returns the error that the server says to a new connection, or "".
func (c *conn) askAgain() string {
	ctx, cancel := context.WithTimeout(context.Background(), refusalTimeout) //nolint:forbidigo // a read has no context
	defer cancel()
	remote := c.RemoteAddr()
	probe, err := (&net.Dialer{}).DialContext(ctx, remote.Network(), remote.String())
	if err != nil {
		return ""
	}
	defer probe.Close()
	_ = probe.SetReadDeadline(time.Now().Add(refusalTimeout))
	said, err := bufio.NewReader(io.LimitReader(probe, 512)).ReadSlice('\n')
	if err != nil || !bytes.HasPrefix(said, []byte("-")) {
		return ""
	}
	return refusalText(said)
}

func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
