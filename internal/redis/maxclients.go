package redis

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// fullLimit bounds the question whether a server that hung up at once is full.
const fullLimit = 300 * time.Millisecond

// What a line has heard of its server.
const (
	nothing = iota
	something
	full
)

var (
	errMaxClients = errors.New("ERR max number of clients reached")
	saysFull      = []byte("-ERR max number of clients")
)

// Read implements net.Conn.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if n > 0 && l.heard.CompareAndSwap(nothing, something) && bytes.HasPrefix(b[:n], saysFull) {
		l.heard.Store(full) // the library takes it for the answer to a question that it does not mind about
	}
	return n, l.explained(err)
}

// Write implements net.Conn.
func (l *line) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	return n, l.explained(err)
}

// explained finds out why a server hung up before it has said anything. One that has no
// room for another client says so at once and closes; but what we write meanwhile makes
// the network drop its words. So they are asked for once more, by a connection that
// writes nothing.
func (l *line) explained(err error) error {
	switch {
	case err == nil || !hungUp(err):
		return err
	case l.heard.Load() == full:
		return errMaxClients
	case !l.heard.CompareAndSwap(nothing, something): // asked once, at most
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fullLimit) //nolint:forbidigo // a read has no context
	defer cancel()
	remote := l.RemoteAddr()
	conn, dialed := (&net.Dialer{}).DialContext(ctx, remote.Network(), remote.String())
	if dialed != nil {
		return err
	}
	defer conn.Close()
	said := make([]byte, len(saysFull))
	_ = conn.SetReadDeadline(time.Now().Add(fullLimit))
	if _, failed := io.ReadFull(conn, said); failed == nil && bytes.Equal(said, saysFull) {
		l.heard.Store(full)
		return errMaxClients
	}
	return err
}

func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
