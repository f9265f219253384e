package session_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

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
