package session_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

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

// TestASessionMayBeWokenBeforeItStarts lets a handler have something to say during the handshake.
func TestASessionMayBeWokenBeforeItStarts(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		w.handle = func(h *script) {
			h.say("early")
			synctest.Wait() // the writer has looked for a handler
		}
		c, _ := w.dial()
		if _, text, err := c.ReadMessage(); err != nil || string(text) != "early" {
			w.t.Fatalf("got %q, %v", text, err)
		}
		_ = c.Close()
	})
}
