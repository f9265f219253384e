package client

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// A Conn is one socket. Its methods may be called at the same time, and Read by
// several goroutines, each frame going to one of them.
//
// One goroutine reads the socket from the beginning: it holds one frame until
// Read takes it, and reads nothing, answers no ping and sees no Close while it
// does. So a caller that stops reading is a slow reader, as a test may wish. It
// ends with the socket; every Conn must be closed, by Close or CloseNow.
type Conn struct {
	ws           *websocket.Conn
	header       http.Header
	writeTimeout time.Duration

	writing chan struct{} // held by the one who writes
	frames  chan Frame
	closing chan struct{} // closed when frames are no longer wanted
	ended   chan struct{} // closed after err is set
	err     *CloseError

	cutOnce   sync.Once
	wantOnce  sync.Once
	closeSent atomic.Bool
	cutCause  atomic.Pointer[error] // why we cut it, where we did
	alive     keepAlive
}

func newConn(ws *websocket.Conn, o Options, header http.Header) *Conn {
	c := &Conn{
		ws:           ws,
		header:       header,
		writeTimeout: o.writeTimeout(),
		writing:      make(chan struct{}, 1),
		frames:       make(chan Frame),
		closing:      make(chan struct{}),
		ended:        make(chan struct{}),
	}
	ws.SetReadLimit(maxRead)
	// gorilla's own handlers give the peer one second to take the answer.
	ws.SetPingHandler(func(payload string) error {
		c.alive.heard()
		_ = c.control(websocket.PongMessage, []byte(payload)) // a dead socket fails the next read
		return nil
	})
	ws.SetPongHandler(func(string) error { c.alive.heard(); return nil })
	ws.SetCloseHandler(func(code int, _ string) error {
		if c.closeSent.CompareAndSwap(false, true) {
			_ = c.control(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""))
		}
		return nil
	})
	c.alive.start(c, o.keepAlive())
	go c.read()
	return c
}

// Ref returns the reference that the server gave this socket; empty where what
// answered is not roomspa.
func (c *Conn) Ref() string { return c.header.Get("Roomspa-Ref") }

// Header returns the header of the 101.
func (c *Conn) Header() http.Header { return c.header }

// Subprotocol returns the subprotocol that the server took.
func (c *Conn) Subprotocol() string { return c.ws.Subprotocol() }

// NetConn returns the connection below, for tests that break it.
func (c *Conn) NetConn() net.Conn { return c.ws.NetConn() }

// Read returns the next frame. Once the socket is closed it returns a
// *[CloseError], always the same one. If ctx ends first it returns ctx's error,
// and nothing is lost: the next Read goes on.
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
	var last farewell
	dropping := false // what follows a frame that was dropped is dropped too, or the caller would see a hole
	for {
		kind, raw, err := c.ws.ReadMessage()
		if err != nil {
			c.alive.stop()
			c.err = c.closeError(err, last)
			c.cut(nil)
			close(c.ended)
			return
		}
		c.alive.heard()
		f := parseFrame(raw, kind == websocket.BinaryMessage, time.Now())
		last.note(f)
		if dropping {
			continue
		}
		c.alive.pause()
		select {
		case c.frames <- f:
		case <-c.closing:
			dropping = true
		}
		c.alive.resume()
	}
}

// cut closes the connection below; the first cause stands.
func (c *Conn) cut(cause error) {
	c.cutOnce.Do(func() {
		if cause != nil {
			c.cutCause.Store(&cause)
		}
		_ = c.ws.Close()
	})
	c.unwant()
}

// unwant lets the reader drop what nobody will take.
func (c *Conn) unwant() { c.wantOnce.Do(func() { close(c.closing) }) }
