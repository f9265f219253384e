package session_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
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

	anonymous bool
	endpoint  string
	wrap      func(*script) session.Handler // may be nil
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
	slot, full := w.registry.Reserve(cmp.Or(w.endpoint, "test"), "TestConsumer", w.anonymous)
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

// A script is a handler that a test tells what to do.
type script struct {
	s       *session.Session
	full    session.Limit
	receive func(frame.Message) error
	next    func() // what the writer waits for
	stalls  bool   // as a store does that does not answer
	closed  chan struct{}

	mu  sync.Mutex
	got []frame.Message
	out []frame.Message
}

func (h *script) Receive(ctx context.Context, m frame.Message) error {
	if h.stalls {
		<-ctx.Done()
		return ctx.Err()
	}
	h.mu.Lock()
	h.got = append(h.got, m)
	receive := h.receive
	h.mu.Unlock()
	if receive != nil {
		return receive(m)
	}
	return nil
}

func (h *script) Next(context.Context) (frame.Message, error) {
	if h.next != nil {
		h.next()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.out) == 0 {
		return frame.Message{}, nil
	}
	m := h.out[0]
	h.out = h.out[1:]
	return m, nil
}

func (h *script) Closed() { close(h.closed) }

func (h *script) say(text ...string) {
	h.mu.Lock()
	for _, s := range text {
		h.out = append(h.out, frame.Message{Data: []byte(s)})
	}
	h.mu.Unlock()
	h.s.Wake()
}

func (h *script) received() []frame.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

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

func TestEndSendsTheErrorFrameThenTheClose(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		h.s.End(&frame.Close{Code: 4003, Reason: "not_your_room", Detail: "no"})
		h.s.End(&frame.Close{Code: 1011, Reason: "internal"}) // the first one stands
		texts, err := readAll(c)
		wantClose(w.t, err, 4003, "not_your_room ref="+ref)
		if len(texts) != 1 {
			w.t.Fatalf("frames before the close: %q", texts)
		}
		wantError(w.t, texts[0], "not_your_room", 4003)
		<-h.closed
	})
}

func TestPeerThatNeverAnswersTheCloseIsLeftAfterTwoSeconds(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		c.SetCloseHandler(func(int, string) error { return nil }) // no answer
		began := time.Now()
		h.s.End(&frame.Close{Code: 4001, Reason: "token_expired"})
		_, err := readAll(c)
		wantClose(w.t, err, 4001, "token_expired ref="+ref)
		<-h.closed
		if d := time.Since(began); d != 2*time.Second {
			w.t.Fatalf("gave up after %v, want 2s", d)
		}
	})
}

func TestPeersCloseIsAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		sent []byte
		code int
		text string
	}{
		"a plain goodbye":      {websocket.FormatCloseMessage(1000, "done"), 1000, "bye ref=" + ref},
		"a page that is left":  {websocket.FormatCloseMessage(1001, ""), 1000, "bye ref=" + ref},
		"a close without code": {nil, 1000, "bye ref=" + ref},
		"a code of its own":    {websocket.FormatCloseMessage(4321, "mine"), 4321, ""},
		"a code below 1000":    {[]byte{0, 99}, 1002, "protocol_error ref=" + ref},
		"half a code":          {[]byte{3}, 1002, "protocol_error ref=" + ref},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits(), func(w *world) {
				conn, h := w.dial()
				if err := conn.WriteMessage(websocket.CloseMessage, c.sent); err != nil {
					w.t.Fatal(err)
				}
				_, err := readAll(conn)
				wantClose(w.t, err, c.code, c.text)
				<-h.closed
			})
		})
	}
}

func TestBrokenProtocolIsExplainedOnce(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		if _, err := c.NetConn().Write([]byte{0x81, 0x01, 'x'}); err != nil { // not masked
			w.t.Fatal(err)
		}
		texts, err := readAll(c)
		wantClose(w.t, err, 1002, "protocol_error ref="+ref)
		wantError(w.t, texts[0], "protocol_error", 1002)
		<-h.closed
	})
}

func TestMessageOverTheLimit(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 1<<16+1)
	for name, send := range map[string]func(*websocket.Conn){
		"in one frame": func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, big) },
		"in many fragments": func(c *websocket.Conn) {
			w, _ := c.NextWriter(websocket.TextMessage)
			for range 70 {
				_, _ = w.Write(big[:1000]) // each call flushes a 1 KiB buffer as a fragment
			}
			_ = w.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits(), func(w *world) {
				c, h := w.dial()
				go send(c)
				texts, err := readAll(c)
				wantClose(w.t, err, 1009, "too_large ref="+ref)
				wantError(w.t, texts[0], "too_large", 1009)
				<-h.closed
				if n := len(h.received()); n != 0 {
					w.t.Fatalf("%d messages reached the handler", n)
				}
			})
		})
	}
}

func TestMessageAtTheLimitArrivesWhole(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		big := bytes.Repeat([]byte("y"), 1<<16)
		if err := c.WriteMessage(websocket.BinaryMessage, big); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		if got := h.received(); len(got) != 1 || !got[0].Binary || !bytes.Equal(got[0].Data, big) {
			w.t.Fatalf("got %d messages", len(got))
		}
	})
}

func TestPingsFindAPeerThatIsGone(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		pings := 0
		c.SetPingHandler(func(string) error { pings++; return nil }) // no pong
		began := time.Now()
		texts, err := readAll(c)
		wantClose(w.t, err, 1013, "pong_timeout ref="+ref)
		if !strings.Contains(texts[0], `"reconnect"`) || pings != 1 {
			w.t.Fatalf("frames %q after %d pings", texts, pings)
		}
		<-h.closed
		if d := time.Since(began); d < 35*time.Second || d > 38*time.Second {
			w.t.Fatalf("found after %v", d)
		}
	})
}

func TestSilenceThatWasAskedForEndsAfterItsTime(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) { h.s.PausePings(10 * time.Minute) }
		c, _ := w.dial()
		began := time.Now()
		var pinged []time.Duration
		c.SetPingHandler(func(string) error {
			pinged = append(pinged, time.Since(began).Round(time.Minute/6))
			return c.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
		})
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		time.Sleep(10*time.Minute + 40*time.Second) // of the bubble's clock
		_ = c.Close()
		<-done
		if want := []time.Duration{10 * time.Minute, 10*time.Minute + 30*time.Second}; !slices.Equal(pinged, want) {
			w.t.Fatalf("pinged after %v, want about %v", pinged, want)
		}
	})
}

func TestSilenceThatWasAskedForIsNoCut(t *testing.T) {
	ends := make(chan *session.End, 2)
	o := limits()
	o.OnEnd = func(e *session.End) { ends <- e }
	inBubble(t, o, func(w *world) {
		for i, lived := range []time.Duration{20 * time.Second, 20 * time.Second, 9*time.Minute + 45*time.Second} {
			silent := i > 0
			w.handle = func(h *script) {
				if silent {
					h.s.PausePings(10 * time.Minute)
				}
			}
			c, h := w.dial()
			time.Sleep(lived) // of the bubble's clock
			_ = c.NetConn().Close()
			<-h.closed
			synctest.Wait()
			if e := <-ends; e.Code != 1006 || e.Cut == silent {
				w.t.Errorf("silent as asked: %v; ended with %d, cut: %v", silent, e.Code, e.Cut)
			}
		}
	})
}

func TestPeerThatAnswersPingsStays(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }() // answers pings
		time.Sleep(time.Hour)                                // of the bubble's clock
		select {
		case <-h.closed:
			w.t.Fatal("closed although it answered")
		default:
		}
		_ = c.Close()
		<-done
	})
}

func TestSlowHandlerIsNoDeadPeer(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) {
			h.receive = func(frame.Message) error { <-time.After(5 * time.Minute); return nil }
		}
		c, h := w.dial()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		_ = c.WriteMessage(websocket.TextMessage, []byte("slow"))
		<-time.After(6 * time.Minute)
		select {
		case <-h.closed:
			w.t.Fatal("the peer was blamed for a slow store")
		default:
		}
		_ = c.Close()
		<-done
	})
}

func TestTokenExpiryEndsTheSession(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		began := time.Now()
		c, h := w.dial()
		h.s.Authenticate(session.Token{User: 7, ExpiresAt: time.Now().Add(20 * time.Second)})
		texts, err := readAll(c)
		wantClose(w.t, err, 4001, "token_expired ref="+ref)
		wantError(w.t, texts[0], "token_expired", 4001)
		if d := time.Since(began); d < 19*time.Second || d > 22*time.Second {
			w.t.Fatalf("after %v", d)
		}
	})
}

func TestPeerThatTakesNoByteIsCut(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		_, h := w.dial()
		began := time.Now()
		h.say("nobody reads this")
		<-h.closed
		if d := time.Since(began); d != 10*time.Second {
			w.t.Fatalf("cut after %v, want 10s", d)
		}
	})
}

func TestPeerThatTakesTooFewBytesGetsTheMessageInProgressAndItsClose(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		first, second := strings.Repeat("a", 3000), strings.Repeat("b", 3000)
		h.say(first, second)
		raw := c.NetConn()
		var got []byte
		read := func(n int) {
			b := make([]byte, n)
			for len(b) > 0 {
				m, err := raw.Read(b)
				if err != nil {
					w.t.Fatalf("read: %v", err)
				}
				got, b = append(got, b[:m]...), b[m:]
			}
		}
		read(100) // some bytes, and then a long pause
		<-time.After(15 * time.Second)
		read(4 + 3000 - 100)
		if string(got[4:]) != first {
			w.t.Fatal("the message in progress came damaged")
		}
		texts, err := readAll(c)
		wantClose(w.t, err, 1013, "slow_consumer ref="+ref)
		if len(texts) != 1 || !strings.Contains(texts[0], `"slow_consumer"`) {
			w.t.Fatalf("after the message in progress came %.80q", texts)
		}
		<-h.closed
	})
}

func TestPanicOfTheHandlerEndsOnlyItsSession(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) { h.receive = func(frame.Message) error { panic("oh") } }
		c, h := w.dial()
		_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		texts, err := readAll(c)
		wantClose(w.t, err, 1011, "internal ref="+ref)
		if strings.Contains(texts[0], "oh") {
			w.t.Fatalf("the panic's text went to the client: %s", texts[0])
		}
		<-h.closed
	})
}

func TestRateLimitWarnsThenCloses(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.anonymous = true
		c, h := w.dial()
		go func() {
			for range 200 {
				if c.WriteMessage(websocket.TextMessage, []byte("x")) != nil {
					return
				}
			}
		}()
		_, err := readAll(c)
		wantClose(w.t, err, 1008, "rate_limited ref="+ref)
		<-h.closed
		limited := 0
		for _, m := range h.received() {
			if m.Limited {
				limited++
			}
		}
		if n := len(h.received()); limited < 40 || n-limited != 40 {
			w.t.Fatalf("%d messages, %d of them over the limit", n, limited)
		}
	})
}

func TestLimitsOnSockets(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		for i := range 12 {
			_, h := w.dial()
			if (h.full == session.ConnectionLimit) != (i >= 10) {
				w.t.Fatalf("socket %d: %q", i+1, h.full)
			}
		}
		client, server := net.Pipe()
		w.conns <- server
		_, resp, err := websocket.NewClient(client, mustURL("ws://roomspa.test/"), nil, 0, 0)
		if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			w.t.Fatalf("the 13th socket got %v, %v", resp, err)
		}
		_ = client.Close()
	})
}

func TestLimitsOnMemory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		share   float64
		sockets int // that are there already, of 10 and 12
		full    session.Limit
		refused bool
	}{
		"there is room":                       {0.90, 9, "", false},
		"it is short":                         {0.901, 0, session.MemoryLimit, false},
		"it is short to the end of that":      {0.95, 0, session.MemoryLimit, false},
		"there is none":                       {0.951, 0, session.MemoryLimit, true},
		"more is used than there is":          {1.2, 0, session.MemoryLimit, true},
		"it is short, and sockets are many":   {0.93, 10, session.ConnectionLimit, false},
		"there is none, and sockets are many": {0.97, 10, session.MemoryLimit, true},
		"sockets are too many":                {0.93, 12, session.ConnectionLimit, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			share, o := 0.0, limits()
			o.Memory = func() float64 { return share }
			r := session.NewRegistry(t.Context(), o, prometheus.NewRegistry())
			for range c.sockets {
				r.Reserve("test", "TestConsumer", false)
			}
			share = c.share
			slot, full := r.Reserve("test", "TestConsumer", false)
			if slot != nil {
				full = slot.Exceeded
			}
			if full != c.full || (slot == nil) != c.refused {
				t.Errorf("%q, refused: %t", full, slot == nil)
			}
			if kept := r.Len() == c.sockets+1; kept == c.refused {
				t.Errorf("%d sockets are counted", r.Len())
			}
			share = 0
			if slot, full = r.Reserve("test", "TestConsumer", false); (slot == nil) != (c.sockets == 12) || slot != nil && slot.Exceeded == session.MemoryLimit {
				t.Errorf("when there is memory again: %v, %q", slot, full)
			}
		})
	}
}

func TestClientPingIsAnswered(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, _ := w.dial()
		pongs := make(chan string, 1)
		c.SetPongHandler(func(s string) error { pongs <- s; return nil })
		_ = c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second))
		go func() { _, _ = readAll(c) }()
		if got := <-pongs; got != "are you there" {
			w.t.Fatalf("pong %q", got)
		}
		_ = c.Close()
	})
}

func TestFramesKeepTheirOrderUnderLoad(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		const n = 5000
		go func() {
			for i := range n {
				h.say(strings.Repeat("z", i%200) + "|")
			}
			h.s.End(&frame.Close{Code: 1012, Reason: "restart"}) // waits for what is owed
		}()
		texts, err := readAll(c)
		wantClose(w.t, err, 1012, "restart ref="+ref)
		if len(texts) != n+1 {
			w.t.Fatalf("%d frames, want %d and the reconnect", len(texts), n)
		}
		for i := range n {
			if len(texts[i]) != i%200+1 {
				w.t.Fatalf("frame %d is out of order", i)
			}
		}
	})
}
