package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/room"
)

// A socket is one connection. It has a goroutine that reads, and one that writes while
// there is something to write. The full client of package client would use more CPU
// than the server that is measured.
type socket struct {
	run    *run
	group  *group
	place  int // in the group
	room   room.Room
	user   room.UserID
	url    string
	token  func() (string, error)
	sender *sender // nil for a socket that only receives

	conn    *websocket.Conn
	alive   atomic.Bool
	closing atomic.Bool // this side has begun to close

	mu      sync.Mutex
	queue   [][]byte
	writing bool
}

const (
	writeTimeout = 10 * time.Second
	maxFrame     = 1 << 20 // bytes
)

// A dialer dials all sockets of a run.
type dialer struct {
	websocket.Dialer

	dialled atomic.Int64
}

// portsPerAddress is how many sockets are dialled from one source address. Linux has
// some 28,000 ports for outgoing connections.
const portsPerAddress = 20_000

func newDialer(o *Options) *dialer {
	d := &dialer{}
	d.Dialer = websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: o.HandshakeTimeout,
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &sync.Pool{},
	}
	d.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		var from net.Dialer
		host, _, _ := net.SplitHostPort(address)
		n := d.dialled.Add(1)
		if ip := net.ParseIP(host); o.Sockets > portsPerAddress && ip != nil && ip.To4() != nil && ip.IsLoopback() {
			from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n/portsPerAddress))}
		}
		return from.DialContext(ctx, network, address) //nolint:wrapcheck // the dialer adds what it was for
	}
	return d
}

// dial opens the socket and waits for its connected frame.
func (s *socket) dial(ctx context.Context) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	d := s.run.dialer.Dialer
	d.Subprotocols = []string{"bearer", token}
	ctx, cancel := context.WithTimeout(ctx, s.run.o.HandshakeTimeout)
	defer cancel()
	conn, res, err := d.DialContext(ctx, s.url, nil) //nolint:bodyclose // the library has read it and keeps nothing open
	switch {
	case errors.Is(err, websocket.ErrBadHandshake):
		return errors.New("HTTP " + strconv.Itoa(res.StatusCode))
	case err != nil:
		return summarize(err)
	}
	conn.SetReadLimit(maxFrame)
	_ = conn.SetReadDeadline(time.Now().Add(s.run.o.HandshakeTimeout))
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			_ = conn.Close()
			return summarize(err)
		}
		if decodeFrame(text).Type == "connected" {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	conn.SetPingHandler(func(payload string) error {
		_ = conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeTimeout)) // the next read fails
		return nil
	})
	s.conn = conn
	s.closing.Store(false)
	s.alive.Store(true)
	return nil
}

// summarize reduces an error to a few words, so that equal failures are counted
// together.
func summarize(err error) error {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
		word, _, _ := strings.Cut(ce.Text, " ref=")
		return errors.New(strings.TrimSpace(strconv.Itoa(ce.Code) + " " + word))
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return errors.New("timeout")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("1006 %w", op.Err)
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		return ue.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("1006 EOF")
	}
	return err
}

// buffers hold one frame each.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// read handles frames until the socket ends.
func (s *socket) read() {
	for {
		_, r, err := s.conn.NextReader()
		if err == nil {
			err = s.readFrame(r)
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

func (s *socket) readFrame(r io.Reader) error {
	buf, ok := buffers.Get().(*[]byte)
	if !ok {
		panic("bench: the pool holds something else than byte slices")
	}
	defer buffers.Put(buf)
	*buf = (*buf)[:0]
	for {
		if len(*buf) == cap(*buf) {
			*buf = append(*buf, 0)[:len(*buf)]
		}
		n, err := r.Read((*buf)[len(*buf):cap(*buf)])
		*buf = (*buf)[:len(*buf)+n]
		if errors.Is(err, io.EOF) {
			s.group.handleFrame(s, *buf, time.Since(s.run.began))
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end records how the socket ended, unless this side has closed it.
func (s *socket) end(err error) {
	if s.alive.CompareAndSwap(true, false) {
		if t := &s.run.totals; !s.closing.Load() {
			t.count(&t.closes, summarize(err).Error())
		}
		s.group.recordEnd(s)
	}
	_ = s.conn.Close()
}

// close begins the closing handshake. The reader goes on until the server's Close
// frame, for 2 s at most.
func (s *socket) close() {
	s.closing.Store(true)
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
	_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
}

// write queues a frame for the writer. It never blocks: a stuck socket must not delay
// the schedule of the others.
func (s *socket) write(text []byte) {
	s.mu.Lock()
	s.queue = append(s.queue, text)
	start := !s.writing
	s.writing = true
	s.mu.Unlock()
	if start {
		go s.writeQueue()
	}
}

// writeQueue is the writer. It ends when the queue is empty.
func (s *socket) writeQueue() {
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.writing = len(queue) > 0
		s.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, text := range queue {
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if err := s.conn.WriteMessage(websocket.TextMessage, text); err != nil {
				s.end(err)
				return
			}
		}
	}
}
