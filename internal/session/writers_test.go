package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

func TestWritersWaitForMoreAndGoWhenThereIsNone(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		var clients []*websocket.Conn
		var handlers []*script
		for range 8 {
			c, h := w.dial()
			clients, handlers = append(clients, c), append(handlers, h)
		}
		for range 3 { // the same ones, again and again
			for _, h := range handlers {
				h.say("all at once")
			}
			synctest.Wait()
			if n := w.registry.IdleWriters(); n != 0 {
				w.t.Fatalf("%d are idle while nobody reads", n)
			}
			for _, c := range clients {
				if _, text, err := c.ReadMessage(); err != nil || string(text) != "all at once" {
					w.t.Fatalf("got %q, %v", text, err)
				}
			}
			synctest.Wait()
			if n := w.registry.IdleWriters(); n != len(clients) {
				w.t.Fatalf("%d of %d are idle", n, len(clients))
			}
		}
		time.Sleep(3 * time.Second) //nolint:forbidigo // it is the bubble's time
		if n := w.registry.IdleWriters(); n != 0 {
			w.t.Fatalf("%d are idle after seconds without work", n)
		}
	})
}

// The write before has set the deadline, and the one that blocks has all its time.
func TestPeerThatStopsToReadLaterIsCutNoSooner(t *testing.T) {
	for _, later := range []time.Duration{time.Second, 4900 * time.Millisecond, 5100 * time.Millisecond, 9 * time.Second, 20 * time.Second} {
		t.Run(later.String(), func(t *testing.T) {
			inBubble(t, limits(), func(w *world) {
				c, h := w.dial()
				h.say("somebody reads this")
				if _, _, err := c.ReadMessage(); err != nil {
					w.t.Fatal(err)
				}
				time.Sleep(later) //nolint:forbidigo // it is the bubble's time
				began := time.Now()
				h.say("nobody reads this")
				<-h.closed
				if d := time.Since(began); d != 10*time.Second {
					w.t.Fatalf("cut after %v, want 10s", d)
				}
			})
		})
	}
}
