package session_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

const ref = "0123456789abcdef"

// A world is a registry behind an HTTP server whose connections are pipes, so
// that all of it lives in a synctest bubble: its clock is the test's.
type world struct {
	t        *testing.T
	registry *session.Registry
	metrics  *prometheus.Registry
	conns    chan net.Conn
	made     chan *script
	clients  []net.Conn
	handle   func(*script)

	anonymous, classic bool

	endpoint string
	wrap     func(*script) session.Handler // may be nil
}

func limits() session.Options {
	return session.Options{
		MaxMessageBytes: 1 << 16, MessageRate: 20, MessageBurst: 40, PingInterval: 25 * time.Second,
		PongTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, SoftLimit: 10, HardLimit: 12,
	}
}

// inBubble runs a test against a world.
func inBubble(t *testing.T, o session.Options, test func(*world)) {
	t.Helper()
	t.Parallel()
	bubble(t, o, test)
}

// bubble is inBubble for a caller that may not be parallel.
func bubble(t *testing.T, o session.Options, test func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		w := &world{t: t, metrics: reg, conns: make(chan net.Conn, 64), made: make(chan *script, 64)}
		w.registry = session.NewRegistry(t.Context(), o, reg)
		ctx, cancel := context.WithCancel(t.Context())
		srv := &http.Server{Handler: http.HandlerFunc(w.serve)}
		var wg sync.WaitGroup
		wg.Go(func() { _ = srv.Serve(&pipeListener{w.conns, make(chan struct{})}) })
		wg.Go(func() { w.registry.Run(ctx) })
		test(w)
		w.registry.Drain(t.Context(), time.Second)
		for _, c := range w.clients {
			_ = c.Close()
		}
		cancel()
		_ = srv.Close()
		wg.Wait()
	})
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	slot, full := w.registry.Reserve(session.Kind{Endpoint: cmp.Or(w.endpoint, "test"), Component: "TestConsumer", Anonymous: w.anonymous, Classic: w.classic})
	if slot == nil {
		http.Error(rw, string(full), http.StatusServiceUnavailable)
		return
	}
	log := logging.Conn{Log: logging.New(w.t.Output(), logging.Options{Format: "text", Replica: "r"}), Ref: ref, Remote: "pipe"}
	s, err := slot.Upgrade(rw, r, log, http.Header{})
	if err != nil {
		w.t.Errorf("upgrade: %v", err)
		return
	}
	h := &script{s: s, full: slot.Exceeded, closed: make(chan struct{})}
	if w.handle != nil {
		w.handle(h)
	}
	handler := session.Handler(h)
	if w.wrap != nil {
		handler = w.wrap(h)
	}
	w.made <- h
	s.Start(handler)
}

// dial connects a client.
func (w *world) dial() (*websocket.Conn, *script) {
	w.t.Helper()
	client, server := net.Pipe()
	w.conns <- server
	url := mustURL("ws://roomspa.test/ws/test/")
	b := buffered(client)
	w.clients = append(w.clients, b)
	c, _, err := websocket.NewClient(b, url, nil, 1024, 1024)
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	return c, <-w.made
}

// A bufferedConn does what the kernel does for a TCP socket and net.Pipe does
// not: it takes what is written before the other side reads it.
type bufferedConn struct {
	net.Conn
	writes chan []byte
	done   chan struct{}
	once   sync.Once
}

func buffered(c net.Conn) *bufferedConn {
	b := &bufferedConn{Conn: c, writes: make(chan []byte, 10_000), done: make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-b.writes:
				if _, err := c.Write(p); err != nil {
					return
				}
			case <-b.done:
				return
			}
		}
	}()
	return b
}

func (b *bufferedConn) Write(p []byte) (int, error) {
	select {
	case b.writes <- bytes.Clone(p):
		return len(p), nil
	case <-b.done:
		return 0, net.ErrClosed
	}
}

// A deadline is for who waits; nobody waits here.
func (b *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

func (b *bufferedConn) Close() error {
	b.once.Do(func() { close(b.done) })
	return b.Conn.Close()
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// readAll reads until the connection ends, and returns the messages and how it
// ended.
func readAll(c *websocket.Conn) (texts []string, end error) {
	for {
		_, p, err := c.ReadMessage()
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(p))
	}
}

func wantClose(t *testing.T, err error, code int, text string) {
	t.Helper()
	ce, ok := errors.AsType[*websocket.CloseError](err)
	if !ok || ce.Code != code || ce.Text != text {
		t.Fatalf("ended with %v, want close %d %q", err, code, text)
	}
}

func wantError(t *testing.T, text, code string, closing int) {
	t.Helper()
	var e frame.Error
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.Type != "error" || e.Code != code || e.Close != closing || e.Ref != ref {
		t.Fatalf("frame %s, want an error frame of code %s, close %d and the ref", text, code, closing)
	}
}
