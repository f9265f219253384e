package session

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/logging"
)

// sendBuffer and lowWater bound what the kernel holds for a peer that does not
// read. Without them it swallows some 25,000 small frames, which are stale by the
// time they arrive.
const (
	sendBuffer = 16 << 10
	lowWater   = 4 << 10
)

// readBuffer is the size of a socket's read buffer: a chat message fits; larger ones
// cost more reads, not more memory. It is the least that the library takes from us,
// rounded up to what the allocator has.
const readBuffer = 288

var upgrader = websocket.Upgrader{
	WriteBufferSize: 256,
	WriteBufferPool: &sync.Pool{},                             // never used: the writer writes its own frames
	CheckOrigin:     func(*http.Request) bool { return true }, // the handshake has decided that
}

// subprotocol takes the one that clients send their token beside. The library would
// do that, but keep the client's own text, and with it the token, as long as the
// socket lives.
func subprotocol(r *http.Request, header http.Header) {
	if slices.Contains(websocket.Subprotocols(r), "bearer") {
		header.Set("Sec-Websocket-Protocol", "bearer")
	}
}

// Upgrade answers the handshake with 101 (RFC 6455 §4.2.2) and returns the
// session, which lives until it is given to [Session.Start] and has ended. The
// slot is the one that [Registry.Reserve] gave; it is the session's from here on,
// also where Upgrade fails.
func (slot *Slot) Upgrade(w http.ResponseWriter, r *http.Request, log logging.Conn, header http.Header) (*Session, error) {
	gate := &gatedWriter{ResponseWriter: w}
	header = header.Clone()
	subprotocol(r, header)
	conn, err := upgrader.Upgrade(gate, r, header)
	if err != nil {
		slot.Release()
		if gate.conn != nil {
			_ = gate.conn.Close()
		}
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	gate.conn.shut.Store(true)
	gate.reader.Reset(gate.conn.Conn) // reading needs no gate
	now := time.Now().UnixNano()
	s := &Session{
		registry: slot.registry, endpoint: slot.endpoint,
		conn: conn, raw: gate.conn.Conn, log: log,
		opened: now, lastPing: now,
	}
	s.active.Store(now)
	tune(s.raw)
	conn.SetPingHandler(func(payload string) error {
		s.active.Store(time.Now().UnixNano())
		s.mu.Lock()
		s.pong = &payload
		s.mu.Unlock()
		s.Wake()
		return nil
	})
	conn.SetPongHandler(func(string) error {
		now := time.Now().UnixNano()
		s.active.Store(now)
		s.mu.Lock()
		s.pinged, s.lastPong = 0, now
		s.mu.Unlock()
		return nil
	})
	conn.SetCloseHandler(func(int, string) error { return nil }) // the writer answers
	slot.registry.add(s)
	return s, nil
}

// gatedWriter gives gorilla a connection that takes the 101 and nothing after it:
// its reader would write Closes of its own between the writer's frames.
type gatedWriter struct {
	http.ResponseWriter
	conn   *gatedConn
	reader *bufio.Reader // what the library reads through from now on
}

func (g *gatedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := g.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("the connection cannot be taken over")
	}
	conn, brw, err := h.Hijack()
	if err != nil {
		return nil, nil, err
	}
	g.conn = &gatedConn{Conn: conn}
	if brw.Reader.Buffered() == 0 { // else the library refuses the client, which was too early
		brw.Reader = bufio.NewReaderSize(conn, readBuffer)
	}
	g.reader = brw.Reader
	return g.conn, brw, nil
}

type gatedConn struct {
	net.Conn
	shut atomic.Bool
}

func (c *gatedConn) Write(p []byte) (int, error) {
	if c.shut.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// tune bounds the kernel's buffers. A connection that is no TCP socket (a test's
// pipe) has none.
func tune(c net.Conn) {
	if w, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = w.NetConn()
	}
	if p, ok := c.(interface{ Raw() net.Conn }); ok { // PROXY protocol
		c = p.Raw()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(sendBuffer)
		setLowWater(t)
	}
}
