package session

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
	"unique"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/tcp"
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

// Upgrade answers the handshake with 101 (RFC 6455 §4.2.2) and returns the session. The caller
// must call [Session.Start] on it. Upgrade releases the slot if it fails; otherwise the session
// releases it when it ends.
func (slot *Slot) Upgrade(w http.ResponseWriter, r *http.Request, log logging.Conn, header http.Header) (*Session, error) {
	gate := &hijacker{ResponseWriter: w}
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
		raw: gate.conn, tcp: tcp.Below(gate.conn), reader: gate.reader, log: log,
		opened: now, lastPing: now, appCodes: slot.AppCodes, client: unique.Make(slot.Client),
	}
	s.account.Open(slot.registry.options.Budget, true)
	s.lastActive.Store(now)
	tune(s.tcp)
	slot.registry.add(s)
	s.chooseWatch()
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
	var in io.Reader = conn
	if n := brw.Reader.Buffered(); n > 0 { // the client did not wait for the 101
		early, _ := brw.Peek(n)
		in = io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)
	}
	g.reader = bufio.NewReaderSize(in, readBuffer)
	brw.Reader.Reset(conn) // the library refuses a handshake with data in it
	return conn, brw, nil
}

// tune bounds the kernel's send buffer, if t is not nil.
func tune(t *tcp.Conn) {
	if t != nil {
		_ = t.SetWriteBuffer(sendBuffer)
		setLowWater(t.TCPConn)
	}
}
