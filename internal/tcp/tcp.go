// Package tcp reads and writes TCP connections at less cost than package net, and otherwise in the
// same way.
//
// Before each system call package net tells Go's scheduler that the call may take long. In a
// process that has little to do, that wakes the runtime's monitor thread for nearly every message.
// Reads and writes of a socket never wait for the peer, because Go's sockets are non-blocking, so
// this package does not tell the scheduler. At 1,000 messages a second a replica uses a
// tenth less processor time. On systems other than Linux, this package only calls package net.
package tcp

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
)

// A Conn is a TCP connection.
type Conn struct {
	*net.TCPConn

	raw syscall.RawConn
}

// New returns c as a [Conn].
func New(c *net.TCPConn) *Conn {
	raw, _ := c.SyscallConn() // fails for a nil pointer only
	return &Conn{c, raw}
}

// Dial dials with d. The connection is a [Conn] if it is one of TCP.
func Dial(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
	c, err := d.DialContext(ctx, network, address)
	if t, ok := c.(*net.TCPConn); ok {
		return New(t), nil
	}
	return c, err //nolint:wrapcheck // the dialer's error says what failed
}

// Below returns the TCP connection that c writes to. It returns nil if there is none, or if c changes the
// bytes on the way, as TLS does.
func Below(c net.Conn) *Conn {
	if p, ok := c.(interface{ Raw() net.Conn }); ok { // PROXY protocol
		c = p.Raw()
	}
	if _, ok := c.(*tls.Conn); ok { // it has a NetConn too
		return nil
	}
	if w, ok := c.(interface{ NetConn() net.Conn }); ok { // the listener's
		c = w.NetConn()
	}
	switch c := c.(type) {
	case *Conn:
		return c
	case *net.TCPConn:
		return New(c)
	default:
		return nil
	}
}
