package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

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
