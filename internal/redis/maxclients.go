package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// refusalTimeout bounds the second connection that asks why the first was closed.
const refusalTimeout = 300 * time.Millisecond

// What a connection has received so far.
const (
	unheard int32 = iota // nothing
	heard                // something else
	refused              // that the server has too many clients
)

var (
	errMaxClients = errors.New("ERR max number of clients reached")
	refusal       = []byte("-ERR max number of clients")
)

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.greeting.CompareAndSwap(unheard, heard) && bytes.HasPrefix(b[:n], refusal) {
		c.greeting.Store(refused) // go-redis takes it for the reply to a command whose errors it ignores
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
	switch {
	case err == nil || !isHangUp(err):
		return err
	case c.greeting.Load() == refused:
		return errMaxClients
	case !c.greeting.CompareAndSwap(unheard, heard): // at most one further dial
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), refusalTimeout) //nolint:forbidigo // a read has no context
	defer cancel()
	remote := c.RemoteAddr()
	probe, dialErr := (&net.Dialer{}).DialContext(ctx, remote.Network(), remote.String())
	if dialErr != nil {
		return err
	}
	defer probe.Close()
	_ = probe.SetReadDeadline(time.Now().Add(refusalTimeout))
	said, readErr := bufio.NewReader(io.LimitReader(probe, 512)).ReadString('\n')
	text, isError := strings.CutPrefix(strings.TrimSpace(said), "-")
	switch {
	case readErr != nil || !isError:
		return err
	case strings.HasPrefix(said, string(refusal)):
		c.greeting.Store(refused)
		return errMaxClients
	}
	return fmt.Errorf("%s (%w)", text, err)
}

func isHangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
