package session_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

// A numbered handler is one that sends so many frames with the numbers 0, 1, 2, …, each of size
// bytes. It reads a store before each one if store is not nil.
type numbered struct {
	size  int
	store func()

	mu         sync.Mutex
	sent, left int
	closed     chan struct{}
}

func (c *numbered) Receive(context.Context, frame.Message) error { return nil }

func (c *numbered) Next(_ context.Context, wait bool) (frame.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.left == 0:
		return frame.Message{}, nil
	case c.store != nil && !wait:
		return frame.Message{}, frame.ErrWait
	case c.store != nil:
		c.store()
	}
	data := binary.BigEndian.AppendUint64(make([]byte, 0, c.size), uint64(c.sent)) //nolint:gosec // small
	c.sent, c.left = c.sent+1, c.left-1
	return frame.Message{Data: data[:c.size], Binary: true}, nil
}

func (c *numbered) Closed() { close(c.closed) }

// add makes the handler send more frames.
func (c *numbered) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left += n
}

// A tcpWorld is a registry behind an HTTP server.
type tcpWorld struct {
	t        *testing.T
	registry *session.Registry
	server   *httptest.Server
	handlers chan session.Handler
	started  chan *session.Session
}

func overTCP(t *testing.T) *tcpWorld {
	t.Helper()
	o := limits()
	o.SoftLimit, o.HardLimit = 1000, 1000
	w := &tcpWorld{t: t, handlers: make(chan session.Handler, 1), started: make(chan *session.Session, 1)}
	w.registry = session.NewRegistry(t.Context(), o, prometheus.NewRegistry())
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		log := logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: ref, Remote: "test"}
		slot, _ := w.registry.Reserve(session.Kind{Endpoint: "chat", Component: "ChatConsumer"})
		s, err := slot.Upgrade(rw, r, log, http.Header{})
		if err != nil {
			t.Error(err)
			return
		}
		s.Start(<-w.handlers)
		w.started <- s
	}))
	t.Cleanup(w.server.Close)
	return w
}

// open opens a socket for a handler. The client does not read by itself.
func (w *tcpWorld) open(c *numbered) (*session.Session, net.Conn) {
	w.t.Helper()
	c.closed = make(chan struct{})
	w.handlers <- c
	ws, _, err := websocket.DefaultDialer.Dial("ws"+w.server.URL[len("http"):], nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = ws.Close()
		<-c.closed
	})
	return <-w.started, ws.NetConn()
}

// expect reads frames with the numbers from, from+1, …, from+n-1.
func (w *tcpWorld) expect(conn net.Conn, size, from, n int) {
	w.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(8 * time.Second)) // before the write timeout
	header := 2
	if size > 125 {
		header = 4
	}
	buf := make([]byte, header+size)
	for i := range n {
		if _, err := io.ReadFull(conn, buf); err != nil {
			w.t.Fatalf("frame %d: %v", from+i, err)
		}
		if got := binary.BigEndian.Uint64(buf[header:]); got != uint64(from+i) { //nolint:gosec // small
			w.t.Fatalf("frame %d has the number %d", from+i, got)
		}
	}
}

// stuck is more sockets than all goroutines of the writers take at once.
func stuck() int { return 20 * runtime.GOMAXPROCS(0) }

func TestSocketsThatDoNotReadHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	w := overTCP(t)
	const size, frames = 1000, 2000 // more than the kernel buffers
	slow, conns := make([]*numbered, stuck()), make([]net.Conn, stuck())
	for i := range slow {
		slow[i] = &numbered{size: size}
		var s *session.Session
		s, conns[i] = w.open(slow[i])
		slow[i].add(frames)
		s.Wake()
	}
	quick := &numbered{size: 20}
	s, conn := w.open(quick)
	for i := range 100 {
		quick.add(1)
		s.Wake()
		w.expect(conn, 20, i, 1)
	}
	w.expect(conns[0], size, 0, frames) // nothing is lost or torn where a write was cut short
}

// The kernel takes only a part of a frame when its buffers are full.
func TestAFrameThatTheKernelTakesInPartsIsWhole(t *testing.T) {
	t.Parallel()
	w := overTCP(t)
	const size = 3000
	c := &numbered{size: size}
	s, conn := w.open(c)
	frames := 0
	for left := 0; left == 0; frames++ { // one left: the writer waits for the client
		if frames == 10_000 {
			t.Fatal("the kernel takes everything")
		}
		w.registry.Hold()
		c.add(1)
		s.Wake()
		w.registry.Flush()
		left, _ = c.state()
	}
	w.expect(conn, size, 0, frames)
}

func TestHandlersThatWaitForAStoreHoldUpNoOthers(t *testing.T) {
	t.Parallel()
	w := overTCP(t)
	back := make(chan struct{})
	conns := make([]net.Conn, stuck())
	for i := range conns {
		c := &numbered{size: 20, store: func() { <-back }}
		var s *session.Session
		s, conns[i] = w.open(c)
		c.add(3)
		s.Wake()
	}
	quick := &numbered{size: 20}
	s, conn := w.open(quick)
	quick.add(1)
	s.Wake()
	w.expect(conn, 20, 0, 1)
	close(back)
	for _, c := range conns {
		w.expect(c, 20, 0, 3)
	}
}

func TestFlushWritesWhatWasHeld(t *testing.T) {
	t.Parallel()
	w := overTCP(t)
	c := &numbered{size: 20}
	s, conn := w.open(c)
	many := make([]*session.Session, stuck())
	handlers, conns := make([]*numbered, stuck()), make([]net.Conn, stuck())
	for i := range many {
		handlers[i] = &numbered{size: 20}
		many[i], conns[i] = w.open(handlers[i])
	}
	for i := range 50 {
		w.registry.Hold()
		c.add(1)
		s.Wake()
		if _, sent := c.state(); i > 0 && sent > i {
			t.Fatal("a socket was written to before Flush") // one goroutine from before may have taken the first
		}
		w.registry.Flush()
		w.expect(conn, 20, i, 1)
	}
	w.registry.Hold()
	for i, s := range many {
		handlers[i].add(2)
		s.Wake()
	}
	w.registry.Flush()
	for _, conn := range conns {
		w.expect(conn, 20, 0, 2)
	}
}

func (c *numbered) state() (left, sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left, c.sent
}
