package endpoint_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// A socket counts how often it is woken. It renews no token but "fresh".
type socket struct {
	log   logging.Conn
	woken int
}

func (s *socket) Wake()                    { s.woken++ }
func (s *socket) Log() *logging.Conn       { return &s.log }
func (s *socket) PausePings(time.Duration) {}
func (*socket) Account() *budget.Account   { return &budget.Account{} }
func (s *socket) Renew(token string) error {
	if token != "fresh" {
		return &room.Invalid{Code: "token_invalid", Field: "token", Detail: "not fresh"}
	}
	return nil
}

func newBase(limit int) (*endpoint.Base, *socket) {
	s := &socket{log: logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: "0123456789abcdef"}}
	b := endpoint.NewBase(s, "TestConsumer", limit)
	return &b, s
}

func TestDecode(t *testing.T) {
	t.Parallel()
	invalid, closed := &room.Invalid{Code: "bad_json"}, &frame.Close{Code: 1007, Reason: "invalid_utf8"}
	decode := func(text []byte) (string, error) {
		switch string(text) {
		case "invalid":
			return "part", invalid
		case "closed":
			return "", closed
		}
		return string(text), nil
	}
	for name, c := range map[string]struct {
		m       frame.Message
		in, bad string
		close   int
	}{
		"a good frame":              {m: frame.Message{Data: []byte("good")}, in: "good"},
		"a binary frame":            {m: frame.Message{Data: []byte("good"), Binary: true}, close: 1003},
		"a malformed frame":         {m: frame.Message{Data: []byte("invalid")}, in: "part", bad: "bad_json"},
		"a frame that is not UTF-8": {m: frame.Message{Data: []byte("closed")}, close: 1007},
	} {
		in, bad, err := endpoint.Decode(c.m, decode)
		end, _ := errors.AsType[*frame.Close](err)
		switch {
		case c.close != 0:
			if end == nil || end.Code != c.close || bad != nil {
				t.Errorf("%s: %v, %v, want close %d", name, bad, err, c.close)
			}
		case err != nil || in != c.in || (bad == nil) != (c.bad == "") || bad != nil && bad.Code != c.bad:
			t.Errorf("%s: %q, %v, %v", name, in, bad, err)
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, token, answer string
		handled             bool
	}{
		{frame.TypePing, "", `{"type":"pong"}`, true},
		{frame.TypeAuth, "fresh", "", true},
		{frame.TypeAuth, "stale", `{"type":"error","code":"token_invalid","detail":"not fresh","ref":"0123456789abcdef","field":"token","client_message_id":"1"}`, true},
		{frame.TypeHistory, "", "", false},
	} {
		b, s := newBase(1000)
		handled, err := b.Control(c.kind, c.token, "1")
		if got := string(b.TakeLocked().Data); handled != c.handled || err != nil || got != c.answer || (s.woken == 1) != (c.answer != "") {
			t.Errorf("%s %s: %v, %v, answer %s, woken %d times", c.kind, c.token, handled, err, got, s.woken)
		}
	}
}

func TestAnOutboxThatIsFullEndsTheSocket(t *testing.T) {
	t.Parallel()
	b, _ := newBase(1000)
	large := []byte(strings.Repeat("x", 2000))
	if err := b.Answer(large); err != nil {
		t.Errorf("an empty outbox does not take a large frame: %v", err)
	}
	if c, ok := errors.AsType[*frame.Close](b.Answer([]byte("x"))); !ok || c.Code != frame.CodeTryLater || c.Reason != "slow_consumer" || c.After == 0 {
		t.Errorf("a full outbox: %v", c)
	}
	if m := b.TakeLocked(); len(m.Data) != len(large) {
		t.Errorf("took %d bytes", len(m.Data))
	}
	if err := b.Answer([]byte("x")); err != nil {
		t.Errorf("an outbox that is empty again: %v", err)
	}
}
