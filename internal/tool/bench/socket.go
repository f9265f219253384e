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

// A socket is one connection: a goroutine that reads, and one that writes while
// there is something to write. The full client would cost the machine that
// measures more than the server it measures.
type socket struct {
	run    *run
	group  *group
	place  int // in the group
	room   room.Room
	user   room.UserID
	url    string
	token  func() (string, error)
	sender *sender // nil for one that only hears

	conn    *websocket.Conn
	alive   atomic.Bool
	leaving atomic.Bool // we have said goodbye

	mu      sync.Mutex
	queue   [][]byte
	writing bool
}

// How long a peer may take nothing, and how large a frame may be.
const (
	writeLimit = 10 * time.Second
	readLimit  = 1 << 20
)

// A dialer is what all sockets are dialled with.
type dialer struct {
	websocket.Dialer

	dialled atomic.Int64
}

// A source address has some 28,000 ports on Linux.
const portsEach = 20_000

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
		if ip := net.ParseIP(host); o.Sockets > portsEach && ip != nil && ip.To4() != nil && ip.IsLoopback() {
			from.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n/portsEach))}
		}
		return from.DialContext(ctx, network, address) //nolint:wrapcheck // the dialer says what it was for
	}
	return d
}

// dial opens the socket, and returns when the server has said that it is
// connected.
func (s *socket) dial(ctx context.Context) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	d := s.run.dialer.Dialer
	d.Subprotocols = []string{"bearer", token}
	ctx, cancel := context.WithTimeout(ctx, s.run.o.HandshakeTimeout)
	defer cancel()
	conn, res, err := d.DialContext(ctx, s.url, nil) //nolint:bodyclose // the library has read it, and keeps nothing open
	switch {
	case errors.Is(err, websocket.ErrBadHandshake):
		return errors.New("HTTP " + strconv.Itoa(res.StatusCode))
	case err != nil:
		return plain(err)
	}
	conn.SetReadLimit(readLimit)
	_ = conn.SetReadDeadline(time.Now().Add(s.run.o.HandshakeTimeout))
	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			_ = conn.Close()
			return plain(err)
		}
		if typeOf(text) == "connected" {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Time{})
	conn.SetPingHandler(func(payload string) error {
		_ = conn.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(writeLimit)) // the next read fails
		return nil
	})
	s.conn = conn
	s.leaving.Store(false)
	s.alive.Store(true)
	return nil
}

// plain says in few words how a socket failed or ended, so that like can be
// counted with like.
func plain(err error) error {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
		word, _, _ := strings.Cut(ce.Text, " ref=")
		return errors.New(strings.TrimSpace(strconv.Itoa(ce.Code) + " " + word))
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return errors.New("time-out")
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

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// read reads until the socket ends.
func (s *socket) read() {
	for {
		_, r, err := s.conn.NextReader()
		if err == nil {
			err = s.frame(r)
		}
		if err != nil {
			s.ended(err)
			return
		}
	}
}

func (s *socket) frame(r io.Reader) error {
	buf, ok := scratch.Get().(*[]byte)
	if !ok {
		panic("the pool holds byte slices")
	}
	defer scratch.Put(buf)
	*buf = (*buf)[:0]
	for {
		if len(*buf) == cap(*buf) {
			*buf = append(*buf, 0)[:len(*buf)]
		}
		n, err := r.Read((*buf)[len(*buf):cap(*buf)])
		*buf = (*buf)[:len(*buf)+n]
		if errors.Is(err, io.EOF) {
			s.group.receive(s, *buf, time.Since(s.run.began))
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// ended notes how the socket ended, unless it was us.
func (s *socket) ended(err error) {
	if s.alive.CompareAndSwap(true, false) {
		if !s.leaving.Load() {
			s.run.tally.close(plain(err).Error())
		}
		s.group.gone(s)
	}
	_ = s.conn.Close()
}

// bye closes the socket as a client should: its Close, then what is still to come
// up to the server's.
func (s *socket) bye() {
	s.leaving.Store(true)
	text := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second))
	_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
}

// write hands a frame to the writer, which runs only while there is something to
// write: one socket that is stuck must not hold up the schedule of the others.
func (s *socket) write(text []byte) {
	s.mu.Lock()
	s.queue = append(s.queue, text)
	start := !s.writing
	s.writing = true
	s.mu.Unlock()
	if start {
		go s.flush()
	}
}

func (s *socket) flush() {
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
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeLimit))
			if err := s.conn.WriteMessage(websocket.TextMessage, text); err != nil {
				s.ended(err)
				return
			}
		}
	}
}
