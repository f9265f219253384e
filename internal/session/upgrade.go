package session

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/logging"
)

// sendBuffer and lowWater bound the bytes that the kernel buffers for a peer that does not
// read. By default it buffers about 25,000 small frames, which would arrive late.
const (
	sendBuffer = 16 << 10
	lowWater   = 4 << 10
)

// readBuffer is the size of a socket's read buffer in bytes: enough for a chat message, and for
// any control frame. It is a size class of the allocator.
const readBuffer = 288

var upgrader = websocket.Upgrader{
	WriteBufferSize: 256,
	WriteBufferPool: &sync.Pool{},                             // unused: the session's writer writes the frames
	CheckOrigin:     func(*http.Request) bool { return true }, // the handshake has checked it
}

// acceptBearer accepts the subprotocol bearer if the client offers it. The library is not used
// for that, because it would keep the client's header, and with it the token, in memory as
// long as the socket is open.
func acceptBearer(r *http.Request, header http.Header) {
	if slices.Contains(websocket.Subprotocols(r), "bearer") {
		header.Set("Sec-Websocket-Protocol", "bearer")
	}
}

// Upgrade answers the handshake with 101 (RFC 6455 §4.2.2) and returns the session. The caller
// must call [Session.Start] on it. Upgrade releases the slot if it fails; otherwise the session
// releases it when it ends.
func (slot *Slot) Upgrade(w http.ResponseWriter, r *http.Request, log logging.Conn, header http.Header) (*Session, error) {
	gate := &hijacker{ResponseWriter: w}
	header = header.Clone()
	acceptBearer(r, header)
	if _, err := upgrader.Upgrade(gate, r, header); err != nil {
		slot.Release()
		if gate.conn != nil {
			_ = gate.conn.Close()
		}
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	now := time.Now().UnixNano()
	s := &Session{
		registry: slot.registry, endpoint: slot.endpoint,
		raw: gate.conn, reader: gate.reader, log: log,
		opened: now, lastPing: now,
	}
	s.account.Open(slot.registry.options.Budget, true)
	s.lastActive.Store(now)
	tune(s.raw)
	slot.registry.add(s)
	if s.endpoint.anonymous && slot.registry.options.ShareRate {
		slot.registry.join(s, memberKey{network: logging.Network(log.Remote)})
	}
	return s, nil
}

// hijacker keeps the connection and its reader, which the session uses instead of the
// library's.
type hijacker struct {
	http.ResponseWriter
	conn   net.Conn
	reader *bufio.Reader
}

func (g *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(g.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	g.conn = conn
	if brw.Reader.Buffered() == 0 { // else the library refuses the handshake: data came too early
		brw.Reader = bufio.NewReaderSize(conn, readBuffer)
	}
	g.reader = brw.Reader
	return conn, brw, nil
}

// tune bounds the kernel's send buffer, if c is a TCP connection.
func tune(c net.Conn) {
	if p, ok := c.(interface{ Raw() net.Conn }); ok { // PROXY protocol
		c = p.Raw()
	}
	if w, ok := c.(interface{ NetConn() net.Conn }); ok { // the listener's
		c = w.NetConn()
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(sendBuffer)
		setLowWater(t)
	}
}
