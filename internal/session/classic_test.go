package session_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// classicWorld lets sockets belong to user 1, with a token of 5 s.
func classicWorld(w *world, token time.Duration) {
	w.classic = true
	w.handle = func(h *script) {
		h.s.Authenticate(session.Token{User: 1, ExpiresAt: time.Now().Add(token)})
	}
}

func TestAClassicSocketOutlivesItsTokenAndGetsNoFrameBeforeTheClose(t *testing.T) {
	o := limits()
	o.ClassicMaxAge = time.Hour
	inBubble(t, o, func(w *world) {
		classicWorld(w, time.Minute)
		c, h := w.dial()
		began := time.Now()
		texts, err := readAll(c)
		wantClose(w.t, err, 1012, "max_age ref="+ref)
		if len(texts) > 0 {
			w.t.Errorf("frames before the Close: %q", texts)
		}
		<-h.closed
		if age := time.Since(began); age < time.Hour || age > time.Hour+5*time.Second {
			w.t.Errorf("closed after %v", age)
		}
	})
}

func TestARefusedClassicSocketGetsTheCloseAlone(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.classic = true
		w.handle = func(h *script) {
			h.s.Refuse(&frame.Close{Code: frame.CodeForbidden, Reason: "not_your_room"})
		}
		c, _ := w.dial()
		texts, err := readAll(c)
		wantClose(w.t, err, 4003, "not_your_room ref="+ref)
		if len(texts) > 0 {
			w.t.Errorf("frames before the Close: %q", texts)
		}
	})
}

func TestAClassicClientMaySendAThousandMessagesAtOnce(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		classicWorld(w, time.Hour)
		c, h := w.dial()
		began := time.Now()
		for range 1040 {
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		}
		synctest.Wait()
		if n := len(h.received()); n != 1000 {
			w.t.Errorf("%d messages were handled at once, want 1000", n)
		}
		for len(h.received()) < 1040 {
			time.Sleep(50 * time.Millisecond) // of the bubble's clock
		}
		if d := time.Since(began); d < 1900*time.Millisecond || d > 3*time.Second {
			w.t.Errorf("the 40 messages over the burst took %v, want 2s: 20 a second", d)
		}
	})
}

func TestManyClassicSocketsOfOneUserShareABurst(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		classicWorld(w, time.Hour)
		scripts := make([]*script, 5)
		for i := range scripts {
			c, h := w.dial()
			scripts[i] = h
			for range 1000 {
				_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
			}
		}
		synctest.Wait()
		n := 0
		for _, h := range scripts {
			n += len(h.received())
		}
		if n != 4000 {
			w.t.Errorf("%d messages of five sockets were handled at once, want 4000", n)
		}
	})
}

func TestAPingOfAClassicClientIsAnsweredWhileMuchWaits(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		classicWorld(w, time.Hour)
		stored := make(chan struct{})
		w.wrap = func(h *script) session.Handler {
			h.receive = func(frame.Message) error { <-stored; return nil }
			return h
		}
		c, h := w.dial()
		pongs := make(chan string, 1)
		c.SetPongHandler(func(text string) error { pongs <- text; return nil })
		done := make(chan struct{})
		go func() { defer close(done); _, _ = readAll(c) }()
		for range 30 {
			_ = c.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("x", 32<<10)))
		}
		_ = c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second))
		began := time.Now()
		if text := <-pongs; text != "there?" {
			w.t.Errorf("the pong says %q", text)
		}
		if d := time.Since(began); d > 5*time.Second {
			w.t.Errorf("the pong came after %v", d)
		}
		if n := len(h.received()); n != 1 {
			w.t.Errorf("%d messages were handled, although the first one waits", n)
		}
		close(stored)
		for len(h.received()) < 30 {
			time.Sleep(time.Second) // of the bubble's clock
		}
		_ = c.Close()
		<-done
	})
}
