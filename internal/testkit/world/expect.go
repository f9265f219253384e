package world

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Next returns the next frame.
func (s *Socket) Next(t testing.TB) Frame {
	t.Helper()
	f, ok, late := s.receive(time.After(Limit))
	switch {
	case late:
		t.Fatalf("no frame within %v", Limit)
	case !ok:
		t.Fatalf("the socket ended: %v", s.end)
	}
	return f
}

// Expect returns the next frame, which must be of a type. It skips receipts, unless it is for one: whoever answers a
// message causes some.
func (s *Socket) Expect(t testing.TB, kind string) Frame {
	t.Helper()
	f := s.Next(t)
	for f.IsReceipt() && kind != "delivered" && kind != "read" {
		f = s.Next(t)
	}
	if f.Type != kind {
		t.Fatalf("got %s, want a frame of type %s", f.Raw, kind)
	}
	return f
}

// Find returns the next frame of a type, whatever comes before it.
func (s *Socket) Find(t testing.TB, kind string) Frame {
	t.Helper()
	for {
		if f := s.Next(t); f.Type == kind {
			return f
		}
	}
}

// ExpectNothing pings, and fails the test if anything but the answer comes.
func (s *Socket) ExpectNothing(t testing.TB) {
	t.Helper()
	s.Send(t, `{"type":"ping"}`)
	s.Expect(t, "pong")
}

// ExpectMessages takes n chat messages, which must follow seq in order and without a gap. It skips acks, pongs and
// receipts.
func (s *Socket) ExpectMessages(t testing.TB, seq int64, n int) []Message {
	t.Helper()
	var list []Message
	for len(list) < n {
		f := s.Next(t)
		switch f.Type {
		case "ack", "pong", "delivered", "read":
			continue
		case "chat_message":
		default:
			t.Fatalf("after %d of %d messages came %s", len(list), n, f.Raw)
		}
		if want := seq + int64(len(list)) + 1; f.Seq != want {
			t.Fatalf("got seq %d, want %d: %s", f.Seq, want, f.Raw)
		}
		list = append(list, f.ChatMessage())
	}
	return list
}

// WaitClose waits for the server's Close. It returns the Close and the frames before it.
func (s *Socket) WaitClose(t testing.TB) (websocket.CloseError, []Frame) {
	t.Helper()
	var before []Frame
	for limit := time.After(Limit); ; {
		f, ok, late := s.receive(limit)
		if ok {
			before = append(before, f)
			continue
		}
		last := before[max(0, len(before)-3):]
		if late {
			t.Fatalf("no Close within %v (the last of %d frames: %v)", Limit, len(before), last)
		}
		var c websocket.CloseError
		if !errors.As(s.end, &c) {
			t.Fatalf("the socket ended without a Close: %v (the last of %d frames: %v)", s.end, len(before), last)
		}
		return c, before
	}
}

// ExpectRefusal waits for one error frame (reconnect for 1012 and 1013, also as 4012 and 4013) and the Close after it, checks that both are as
// the protocol says, and returns the frame.
func (s *Socket) ExpectRefusal(t testing.TB, code int, reason string) Frame {
	t.Helper()
	c, before := s.WaitClose(t)
	ref := s.Ref()
	if !refForm.MatchString(ref) {
		t.Errorf("Roomspa-Ref is %q", ref)
	}
	if want := reason + " ref=" + ref; int(c.Code) != code || c.Reason != want {
		t.Errorf("closed with %d %q, want %d %q", c.Code, c.Reason, code, want)
	}
	if len(before) != 1 {
		t.Fatalf("frames before the Close: %v, want one", before)
	}
	f := before[0]
	kind := "error"
	if code == 1012 || code == 1013 || code == 4012 || code == 4013 {
		kind = "reconnect"
	}
	switch {
	case f.Type != kind:
		t.Errorf("before the Close came %s, want a frame of type %s", f.Raw, kind)
	case kind == "reconnect" && (f.Reason != reason || f.AfterMS == nil):
		t.Errorf("the reconnect frame is %s", f.Raw)
	case kind == "error" && (f.Code != reason || f.Ref != ref || f.Close != code || f.Detail == ""):
		t.Errorf("the error frame is %s, want code %s, ref %s, close %d and a detail", f.Raw, reason, ref, code)
	}
	if strings.Contains(f.Raw, "null") {
		t.Errorf("absent values are left out, not null: %s", f.Raw)
	}
	return f
}

// ExpectError takes an error frame after which the socket stays open.
func (s *Socket) ExpectError(t testing.TB, code, field string) Frame {
	t.Helper()
	f := s.Expect(t, "error")
	if f.Code != code || f.Field != field || f.Close != 0 || f.Ref != s.Ref() || f.Detail == "" {
		t.Errorf("got %s, want code %q, field %q, the socket's ref, a detail and no close", f.Raw, code, field)
	}
	return f
}

// Ending is the log line about the end of a socket.
type Ending struct {
	Msg, Code, Reason, By string
	Age                   time.Duration
}

// WaitDisconnected waits until the replica has logged the end of a socket.
func (r *Replica) WaitDisconnected(t testing.TB, s *Socket) (e Ending) {
	t.Helper()
	Eventually(t, "the end of "+s.Ref()+" is logged", func() (bool, any) {
		lines := r.JSONLog.About(s.Ref())
		for l := range strings.Lines(lines) {
			if strings.Contains(l, "WebSocket disconnected") {
				return json.Unmarshal([]byte(l), &e) == nil, l
			}
		}
		return false, lines
	})
	return e
}

// Deliver sends a chat message until it is acknowledged, as a client does: again after each database_unavailable. It
// returns the ack, and skips other frames.
func (s *Socket) Deliver(t testing.TB, text, id string) Frame {
	t.Helper()
	s.Say(t, text, id)
	for {
		switch f := s.Next(t); {
		case f.Type == "ack" && f.ClientMessageID == id:
			return f
		case f.Type == "error" && f.Code == "database_unavailable" && f.ClientMessageID == id:
			s.Say(t, text, id)
		case f.Type == "error":
			t.Fatalf("a message is refused: %s", f.Raw)
		}
	}
}
