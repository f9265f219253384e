package listen

import (
	"bytes"
	"container/list"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/tcp"
)

const (
	// tightIdle is the idle timeout while more than half of the places are taken.
	tightIdle = 10 * time.Second
	// maxLines is the number of lines of a head. A line of five bytes costs net/http a
	// hundred, so the number of bytes is no bound of the memory.
	maxLines = 128
	// readChunk is the number of bytes that a plain connection reads at once. It bounds what
	// is read beyond a head: lines of the body, which are counted although they should not
	// be, and of a pipelined request, which are not counted although they should be.
	readChunk = 1 << 10
)

// A conn is an accepted connection. The mutex of its limits guards it where nothing else is
// said.
type conn struct {
	*tcp.Conn

	limits  *Limits
	peer    *peer // nil for a trusted proxy
	since   time.Time
	element *list.Element // in the list of its state; nil for a socket
	own     *list.Element // in the list of its peer's idle connections
	left    bool
	state   atomic.Int32
	lines   int // of the head; used by the goroutine that reads

	reserve  *reserve // is filled again when the connection has closed; nil for the public listener
	reserved bool     // the connection has a place of the reserve
}

// NetConn returns the TCP connection, for options of the socket.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Close closes the connection and frees its place.
func (c *conn) Close() error {
	c.limits.mu.Lock()
	c.limits.remove(c)
	c.limits.mu.Unlock()
	defer c.reserve.fill()
	return c.TCPConn.Close() //nolint:wrapcheck // a net.Conn returns the connection's own error
}

// CloseWrite ends the server's side. The connection is then only kept until the client has
// read the last answer, so its place may be taken.
func (c *conn) CloseWrite() error {
	c.limits.move(c, idle)
	return c.TCPConn.CloseWrite() //nolint:wrapcheck // a net.Conn returns the connection's own error
}

// Read reads, and ends a connection whose head has too many lines.
func (c *conn) Read(p []byte) (int, error) {
	s := state(c.state.Load())
	if s == gone {
		return c.Conn.Read(p) //nolint:wrapcheck // a net.Conn returns the connection's own error
	}
	n, err := c.Conn.Read(p[:min(len(p), readChunk)])
	if s != serving { // net/http has not taken the head yet
		if c.lines += bytes.Count(p[:n], []byte{'\n'}); c.lines > maxLines {
			_, _ = io.WriteString(c.TCPConn, tooManyLines)
			_ = c.CloseWrite()
			return 0, io.EOF
		}
	}
	return n, err //nolint:wrapcheck // a net.Conn returns the connection's own error
}

// SetReadDeadline shortens the idle timeout when it gets tight.
func (c *conn) SetReadDeadline(t time.Time) error {
	if c.reserved && state(c.state.Load()) == idle { // somebody else needs the place
		return c.TCPConn.SetReadDeadline(time.Now()) //nolint:wrapcheck // a net.Conn returns the connection's own error
	}
	if c.limits.crowded.Load() && state(c.state.Load()) == idle {
		if soon := time.Now().Add(tightIdle); t.IsZero() || t.After(soon) {
			t = soon
		}
	}
	return c.TCPConn.SetReadDeadline(t) //nolint:wrapcheck // a net.Conn returns the connection's own error
}

// unwrap returns the accepted connection below the PROXY protocol.
func unwrap(nc net.Conn) (*conn, bool) {
	if p, ok := nc.(interface{ Raw() net.Conn }); ok {
		nc = p.Raw()
	}
	c, ok := nc.(*conn)
	return c, ok
}

func connState(nc net.Conn, s http.ConnState) {
	if c, ok := unwrap(nc); ok {
		c.changed(s)
	}
}

// tooManyLines is the answer that net/http gives to a head of too many bytes.
const tooManyLines = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"431 Request Header Fields Too Large"
