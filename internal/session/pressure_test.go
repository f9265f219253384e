package session_test

import (
	"bytes"
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
