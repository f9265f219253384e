package session_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
)

func TestALongFrameMustBeCompleteInTime(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		c, h := w.dial()
		raw, drops := c.NetConn(), wire(0x81, bytes.Repeat([]byte("x"), 100))
		began := time.Now()
		go func() {
			for _, b := range drops {
				_, _ = raw.Write([]byte{b})
				select {
				case <-h.closed:
					return
				case <-time.After(time.Second):
				}
			}
		}()
		_, err := readAll(c)
		wantClose(w.t, err, 1008, "message_timeout ref="+ref)
		<-h.closed
		if d := time.Since(began); d < 10*time.Second || d > 20*time.Second {
			w.t.Errorf("closed after %v", d)
		}
	})
}

func TestWaitingMessagesAreFewHoweverSmallTheyAre(t *testing.T) {
	for name, c := range map[string]struct {
		budget     int64
		size, sent int
		most       int // that are read
	}{
		"tiny ones":               {1 << 20, 1, 5000, 1500},
		"beyond the small budget": {32 << 10, 2 << 10, 30, 10},
	} {
		t.Run(name, func(t *testing.T) {
			o := limits()
			b := budget.New(c.budget)
			o.MessageRate, o.MessageBurst, o.Budget = 0.01, 1, b
			inBubble(t, o, func(w *world) {
				client, h := w.dial()
				for range c.sent {
					_ = client.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), c.size))
				}
				time.Sleep(5 * time.Second)
				if read := c.sent - len(client.NetConn().(*bufferedConn).writes); read > c.most || len(h.received()) != 1 {
					w.t.Errorf("%d of %d messages were read, %d handled", read, c.sent, len(h.received()))
				}
				if held := b.Held(); held > c.budget/2 {
					w.t.Errorf("%d bytes are held", held)
				}
			})
		})
	}
}

// Whoever may no longer be there must not go on through messages that were sent before.
func TestWhatWaitsWhenTheServerEndsASessionIsDropped(t *testing.T) {
	o := limits()
	o.MessageRate, o.MessageBurst = 1, 1
	inBubble(t, o, func(w *world) {
		c, h := w.dial()
		for range 10 {
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		}
		time.Sleep(2500 * time.Millisecond)
		h.s.End(&frame.Close{Code: 4001, Reason: "user_inactive"})
		_, err := readAll(c)
		wantClose(w.t, err, 4001, "user_inactive ref="+ref)
		time.Sleep(20 * time.Second)
		if got := len(h.received()); got != 3 {
			w.t.Errorf("%d messages were handled, want 3", got)
		}
	})
}
