package session_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
)

// A client that leaves messages behind and comes back must not collect sessions.
func TestASocketCountsForItsUserWhileItsMessagesWait(t *testing.T) {
	o := limits()
	o.UserSockets, o.SoftLimit, o.HardLimit = 2, 1000, 1000
	inBubble(t, o, func(w *world) {
		tooMany := false
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			tooMany = h.s.TooManySockets()
		}
		var all []*script
		for range 2 {
			c, h := w.dial()
			for range 300 {
				_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
			}
			_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
			_, _ = readAll(c)
			all = append(all, h)
		}
		synctest.Wait()
		if _, _ = w.dial(); !tooMany {
			w.t.Errorf("a user has %d sessions and opens one more", w.registry.Len())
		}
		for _, h := range all {
			<-h.closed
			if n := len(h.received()); n != 300 {
				w.t.Errorf("%d messages were handled", n)
			}
		}
		if _, _ = w.dial(); tooMany {
			w.t.Error("refused although what was left is handled")
		}
	})
}

// Else a message that a store did not take in time would be missing before later ones.
func TestNothingIsHandledAfterAMessageThatEndsTheSession(t *testing.T) {
	inBubble(t, limits(), func(w *world) {
		left := make(chan struct{})
		w.handle = func(h *script) {
			h.s.Authenticate(living(time.Hour))
			h.receive = func(frame.Message) error {
				<-left
				return &frame.Close{Code: frame.CodeInternal, Reason: "database_unavailable"}
			}
		}
		c, h := w.dial()
		for range 3 {
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		}
		_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		synctest.Wait()
		close(left)
		_, _ = readAll(c)
		<-h.closed
		if n := len(h.received()); n != 1 {
			w.t.Errorf("%d messages were handled, want only the one that ended the session", n)
		}
	})
}

func TestWaitingMessagesCountWithTheirOverhead(t *testing.T) {
	o := limits()
	o.MessageRate, o.MessageBurst = 0.1, 1
	b := budget.New(1 << 20)
	o.Budget = b
	inBubble(t, o, func(w *world) {
		c, _ := w.dial()
		for range 900 {
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
		}
		synctest.Wait()
		if held := b.Held(); held < 900*48 {
			w.t.Errorf("900 waiting messages of a byte hold %d bytes of the budget", held)
		}
		_ = c.Close()
	})
}

func TestAMessageThatFoundNoRoomIsNotTheFaultOfTheClient(t *testing.T) {
	o := limits()
	o.Budget = budget.New(10 << 10)
	inBubble(t, o, func(w *world) {
		w.handle = func(h *script) { h.s.Authenticate(living(time.Hour)) }
		c, _ := w.dial()
		_ = c.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 20<<10))
		_, err := readAll(c)
		wantClose(w.t, err, 1013, "over_budget ref="+ref)
	})
}
