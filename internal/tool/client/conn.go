// Package client is the Go client of the protocol. A [Conn] is one socket and hides
// nothing. A [Session] is a client of one endpoint that loses no message: it reconnects
// as the close codes demand, resumes after the highest seq that it has seen, and sends
// unacknowledged messages again.
//
// The other tools and the end-to-end tests use this client. It imports nothing of the
// server but rooms and frames.
package client

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// A Conn is one socket. Its methods are safe for concurrent use. If several goroutines
// call Read, each frame goes to one of them.
//
// A goroutine reads from the socket and holds one frame until Read takes it. Meanwhile it
// reads nothing, answers no pings and sees no Close: a caller that stops reading is a
// slow reader. The goroutine ends with the socket, so every Conn must be closed with
// Close or CloseNow.
type Conn struct {
	ws           *websocket.Conn
	header       http.Header
	writeTimeout time.Duration

	writing chan struct{} // holds one value while a goroutine writes
	frames  chan Frame
	closing chan struct{} // closed when frames are no longer delivered
	ended   chan struct{} // closed after err is set
	err     *CloseError

	cutOnce     sync.Once
	closingOnce sync.Once
	closeSent   atomic.Bool
	cutCause    atomic.Pointer[error] // why this client cut the connection
	keepAlive   keepAlive
}

func newConn(ws *websocket.Conn, o Options, header http.Header) *Conn {
	c := &Conn{
		ws:           ws,
		header:       header,
		writeTimeout: cmp.Or(o.WriteTimeout, defaultWriteTimeout),
		writing:      make(chan struct{}, 1),
		frames:       make(chan Frame),
		closing:      make(chan struct{}),
		ended:        make(chan struct{}),
	}
	ws.SetReadLimit(maxFrame)
	// The library's own handlers give the peer only one second to take the answer.
	ws.SetPingHandler(func(payload string) error {
		c.keepAlive.recordActivity()
		_ = c.writeControl(websocket.PongMessage, []byte(payload)) // a dead socket fails the next read
		return nil
	})
	ws.SetPongHandler(func(string) error { c.keepAlive.recordActivity(); return nil })
	ws.SetCloseHandler(func(code int, _ string) error {
		if c.closeSent.CompareAndSwap(false, true) {
			_ = c.writeControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""))
		}
		return nil
	})
	c.keepAlive.start(c, cmp.Or(o.KeepAlive, defaultKeepAlive))
	go c.read()
	return c
}

// Ref returns the reference that the server gave this socket. It is empty if the peer is
// not roomspa.
func (c *Conn) Ref() string { return c.header.Get("Roomspa-Ref") }

// Header returns the header of the server's 101 response.
func (c *Conn) Header() http.Header { return c.header }

// Read returns the next frame. Once the socket has ended it always returns the same
// *[CloseError]. If ctx ends first, Read returns ctx's error and no frame is lost.
func (c *Conn) Read(ctx context.Context) (Frame, error) {
	select {
	case f := <-c.frames:
		return f, nil
	case <-c.ended:
		return Frame{}, c.err
	case <-ctx.Done():
		return Frame{}, ctx.Err()
	}
}

// read is the goroutine of the socket.
func (c *Conn) read() {
	end := &CloseError{Ref: c.Ref()}
	dropping := false // once a frame is dropped all later ones are, so that the caller sees no gap
	for {
		kind, raw, err := c.ws.ReadMessage()
		if err != nil {
			c.keepAlive.stop()
			end.finish(err, c.cutCause.Load())
			c.err = end
			c.cut(nil)
			close(c.ended)
			return
		}
		c.keepAlive.recordActivity()
		f := parseFrame(raw, kind == websocket.BinaryMessage, time.Now())
		end.announceClose(f)
		if dropping {
			continue
		}
		c.keepAlive.pause()
		select {
		case c.frames <- f:
		case <-c.closing:
			dropping = true
		}
		c.keepAlive.resume()
	}
}

// cut closes the TCP connection. The first cause stands.
func (c *Conn) cut(cause error) {
	c.cutOnce.Do(func() {
		if cause != nil {
			c.cutCause.Store(&cause)
		}
		_ = c.ws.Close()
	})
	c.stopDelivery()
}

// stopDelivery makes the reader drop the frames that it still reads.
func (c *Conn) stopDelivery() { c.closingOnce.Do(func() { close(c.closing) }) }
