package session_test

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

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
		if len(got) != 2 || string(got[1].Data) != "499" || n.dropped.Load() != 498 {
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
