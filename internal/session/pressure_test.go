package session_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// wire returns a frame as a client sends it, masked with zeros.
func wire(op byte, payload []byte) []byte {
	b := []byte{op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	default:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func TestMessagesOverTheRateWaitAndKeepTheirOrder(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		const n = 100 // of which 40 are the burst
		began := time.Now()
		for i := range n {
			_ = c.WriteMessage(websocket.TextMessage, fmt.Append(nil, i))
		}
		pongs := make(chan time.Duration, 1)
		c.SetPongHandler(func(string) error { pongs <- time.Since(began); return nil })
		_ = c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second))
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		if late := <-pongs; late > 10*time.Millisecond {
			w.t.Errorf("the ping behind the messages was answered after %v", late)
		}
		time.Sleep(time.Second + 10*time.Millisecond) // of the bubble's clock
		if got := len(h.received()); got != 60 {
			w.t.Errorf("%d messages were handled in the first second, want 60", got)
		}
		time.Sleep(2 * time.Second)
		got := h.received()
		if len(got) != n {
			w.t.Fatalf("%d messages were handled", len(got))
		}
		for i, m := range got {
			if string(m.Data) != fmt.Sprint(i) || m.Limited {
				w.t.Fatalf("message %d is %+v", i, m)
			}
		}
		_ = c.Close()
		<-done
	})
}

func TestWhatAClientSentBeforeItLeftIsHandled(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		began := time.Now()
		for range 60 {
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		}
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		_, err := readAll(c)
		wantClose(w.t, err, 1000, "bye ref="+ref)
		if late := time.Since(began); late > 10*time.Millisecond {
			w.t.Errorf("the Close behind the messages was answered after %v", late)
		}
		<-h.closed
		if got := len(h.received()); got != 60 {
			w.t.Errorf("%d messages were handled", got)
		}
	})
}

func TestAFullQueueStopsTheReaderAndThePongTimeout(t *testing.T) {
	o := limits()
	o.MessageRate, o.MessageBurst = 0.1, 1
	b := budget.New(1 << 20)
	o.Budget = b
	inBubble(t, o, func(w *world) {
		c, h := w.dial()
		text := bytes.Repeat([]byte("x"), 20<<10)
		for range 8 {
			_ = c.WriteMessage(websocket.TextMessage, text)
		}
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		time.Sleep(5 * time.Second)
		if held := b.Held(); held < 60<<10 || held > 101<<10 {
			w.t.Errorf("the queue holds %d bytes of the budget", held)
		}
		time.Sleep(2 * time.Minute)
		if got := h.received(); len(got) != 8 {
			w.t.Errorf("%d messages were handled", len(got))
		}
		if b.Held() != 0 {
			w.t.Errorf("%d bytes were not given back", b.Held())
		}
		_ = c.Close()
		<-done
	})
}

// newest is a handler for which only the newest message counts.
type newest struct {
	*script
	dropped atomic.Int64
}

func (n *newest) Supersedes(_, _ frame.Message) bool { n.dropped.Add(1); return true }

func TestOnlyTheNewestOfTheWaitingMessagesIsHandled(t *testing.T) {
	o := limits()
	b := budget.New(1 << 20)
	o.MessageRate, o.MessageBurst, o.Budget = 1, 1, b
	inBubble(t, o, func(w *world) {
		var n *newest
		w.wrap = func(h *script) session.Handler { n = &newest{script: h}; return n }
		c, h := w.dial()
		for i := range 500 {
			_ = c.WriteMessage(websocket.TextMessage, fmt.Append(nil, i))
		}
		time.Sleep(10 * time.Second)
		got := h.received()
		if len(got) != 3 || string(got[2].Data) != "499" || n.dropped.Load() != 497 {
			w.t.Errorf("%d messages were handled, %d dropped", len(got), n.dropped.Load())
		}
		if b.Held() != 0 {
			w.t.Errorf("%d bytes were not given back", b.Held())
		}
		_ = c.Close()
	})
}

func TestUsersShareARate(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		handled := 0
		w.handle = func(h *script) { h.s.Authenticate(living(time.Hour)) }
		var all []*script
		for range 8 {
			c, h := w.dial()
			all = append(all, h)
			for range 100 {
				_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
			}
		}
		time.Sleep(time.Second)
		for _, h := range all {
			handled += len(h.received())
		}
		if handled < 235 || handled > 250 { // 160 at once and 80 a second
			w.t.Errorf("%d messages of one user were handled in a second", handled)
		}
	})
}

func TestAMessageMustBeCompleteInTime(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		raw := c.NetConn()
		began := time.Now()
		_, _ = raw.Write(wire(0x01, bytes.Repeat([]byte("x"), 100)))
		go func() {
			for range 9 { // pings do not help
				_, _ = raw.Write(wire(0x89, nil))
				time.Sleep(time.Second)
			}
		}()
		texts, err := readAll(c)
		wantClose(w.t, err, 1008, "message_timeout ref="+ref)
		wantError(w.t, texts[len(texts)-1], "message_timeout", 1008)
		<-h.closed
		if d := time.Since(began); d < 10*time.Second || d > 14*time.Second {
			w.t.Errorf("closed after %v", d)
		}
	})
}

func TestFramesThatCostNothingToSendHaveARate(t *testing.T) {
	for name, flood := range map[string][]byte{
		"pings":                wire(0x89, nil),
		"pongs":                wire(0x8a, []byte("unasked")),
		"empty fragments":      wire(0x00, nil),
		"fragments of 1 byte":  wire(0x00, []byte("x")),
		"pings in a message":   append(wire(0x00, bytes.Repeat([]byte("x"), 1)), wire(0x89, nil)...),
		"fragments of 1 KiB -": wire(0x00, bytes.Repeat([]byte("x"), 40)),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, limits(), func(w *world) {
				c, h := w.dial()
				raw := c.NetConn()
				c.SetPongHandler(func(string) error { return nil })
				go func() {
					if flood[0] == 0 {
						_, _ = raw.Write(wire(0x02, nil))
					}
					for range 5000 {
						if _, err := raw.Write(flood); err != nil {
							return
						}
					}
				}()
				_, err := readAll(c)
				wantClose(w.t, err, 1008, "rate_limited ref="+ref)
				<-h.closed
			})
		})
	}
}

func TestUnfinishedMessagesShareTheBudget(t *testing.T) {
	const total = 256 << 10
	o := limits()
	o.SoftLimit, o.HardLimit = 1000, 1000
	b := budget.New(total)
	o.Budget = b
	inBubble(t, o, func(w *world) {
		half := wire(0x02, bytes.Repeat([]byte("x"), 65000))
		var conns []*websocket.Conn
		for range 60 {
			c, _ := w.dial()
			_, _ = c.NetConn().Write(half) // FIN is 0
			conns = append(conns, c)
		}
		time.Sleep(5 * time.Second)
		if held := b.Held(); held > total || held < total/4 {
			w.t.Errorf("the peers hold %d of %d bytes", held, total)
		}
		c, h := w.dial() // a newcomer
		_ = c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("y", 4000)))
		synctest.Wait()
		if len(h.received()) != 1 {
			w.t.Error("a small message of a newcomer is not handled")
		}
		for _, c := range conns {
			go func() { _, _ = readAll(c) }()
		}
		time.Sleep(20 * time.Second)
		if b.Held() != 0 {
			w.t.Errorf("%d bytes were not given back", b.Held())
		}
	})
}

func TestABlockedWriteIsCounted(t *testing.T) {
	b := budget.New(100 << 10)
	o := limits()
	o.Budget = b
	inBubble(t, o, func(w *world) {
		_, h := w.dial()
		h.say(strings.Repeat("x", 5000))
		time.Sleep(time.Second)
		if b.Held() == 0 {
			w.t.Error("a blocked write is not counted")
		}
		ended := time.Now()
		_, second := w.dial()
		second.say(strings.Repeat("x", 60<<10))
		<-second.closed
		if d := time.Since(ended); d > time.Second {
			w.t.Errorf("the second write was cut after %v", d)
		}
		<-h.closed
		if b.Held() != 0 {
			w.t.Errorf("%d bytes were not given back", b.Held())
		}
	})
}

// paced is a handler that is not ready until it is told.
type paced struct {
	*script
	ready atomic.Bool
}

func (p *paced) Ready() bool { return p.ready.Load() }

func TestNothingIsHandledUntilTheHandlerIsReady(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		var p *paced
		w.wrap = func(h *script) session.Handler { p = &paced{script: h}; return p }
		c, h := w.dial()
		_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		go func() { _, _ = readAll(c) }()
		time.Sleep(time.Minute)
		if len(h.received()) != 0 {
			w.t.Error("handled although the handler was not ready")
		}
		p.ready.Store(true)
		time.Sleep(2 * time.Second)
		if len(h.received()) != 1 {
			w.t.Error("not handled when the handler was ready")
		}
		p.ready.Store(false)
		_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		time.Sleep(10 * time.Second)
		if len(h.received()) != 2 || w.registry.Len() != 0 {
			w.t.Error("a client that has left is waited for")
		}
	})
}

func TestAnonymousSocketsHaveAQuotaAndAMaximumAge(t *testing.T) {
	o := limits()
	o.SoftLimit, o.HardLimit = 20, 22
	inBubble(t, o, func(w *world) {
		w.anonymous = true
		began := time.Now()
		c, h := w.dial()
		_, _ = w.dial()
		for i := range 2 {
			if _, h := w.dial(); h.full != session.AnonymousLimit {
				w.t.Errorf("socket %d: %q", i+3, h.full)
			}
		}
		if slot, full := w.registry.Reserve("test", "TestConsumer", true); slot != nil || full != session.AnonymousLimit {
			w.t.Errorf("the fifth one: %q", full)
		}
		w.anonymous = false
		for i := range 18 {
			if _, h := w.dial(); h.full != "" {
				w.t.Errorf("user %d is refused: %q", i, h.full)
			}
		}
		if _, h := w.dial(); h.full != session.ConnectionLimit {
			w.t.Errorf("beyond the soft limit: %q", h.full)
		}
		_, err := readAll(c)
		wantClose(w.t, err, 1012, "max_age ref="+ref)
		<-h.closed
		if d := time.Since(began); d < 10*time.Minute || d > 10*time.Minute+3*time.Second {
			w.t.Errorf("closed after %v", d)
		}
	})
}

func TestSocketsOfAUserAreCounted(t *testing.T) {
	o := limits()
	o.UserSockets = 2
	inBubble(t, o, func(w *world) {
		tooMany := false
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			tooMany = h.s.TooManySockets()
		}
		c, h := w.dial()
		_, _ = w.dial()
		if tooMany {
			w.t.Error("two of two are too many")
		}
		_, third := w.dial()
		if !tooMany {
			w.t.Error("three of two are not too many")
		}
		go func() { _, _ = readAll(c) }()
		h.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		_, fourth := w.dial()
		if !tooMany { // the third one is still open
			w.t.Error("three of two are not too many")
		}
		third.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		fourth.s.End(&frame.Close{Code: 1012, Reason: "restart"})
		if _, _ = w.dial(); tooMany {
			w.t.Error("sockets that are ending count")
		}
	})
}

func TestAReaderThatWaitsForRoomGoesOnAlone(t *testing.T) {
	b := budget.New(40 << 10)
	o := limits()
	o.Budget = b
	inBubble(t, o, func(w *world) {
		release := make(chan struct{})
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			h.receive = func(frame.Message) error { <-release; return nil }
		}
		c, h := w.dial()
		text := bytes.Repeat([]byte("x"), 15<<10)
		for range 4 {
			_ = c.WriteMessage(websocket.TextMessage, text)
		}
		time.Sleep(time.Second)
		for range 4 {
			release <- struct{}{} // meanwhile the reader waits for room
			time.Sleep(2 * time.Second)
		}
		if got := h.received(); len(got) != 4 || b.Held() != 0 {
			w.t.Errorf("%d messages were handled, %d bytes are held", len(got), b.Held())
		}
		go func() { _, _ = readAll(c) }()
		time.Sleep(time.Second)
		_ = c.Close()
	})
}
