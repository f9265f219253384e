package handshake_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestTheTestEndpoint(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	open := func(t *testing.T, query string) *world.Socket {
		t.Helper()
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		return r.Connect(t, world.Handshake{Path: "/ws/test/", Query: values})
	}
	t.Run("echoes everything unchanged", func(t *testing.T) {
		t.Parallel()
		s := open(t, "")
		for _, text := range []string{"", "hello", `{"type":"ping"}`, "\x00", "grüße 💩", strings.Repeat("x", 65_536)} {
			s.Send(t, text)
			if g := s.Next(t); g.Raw != text || g.Binary {
				t.Errorf("%.20q came back as %.20q (binary: %v)", text, g.Raw, g.Binary)
			}
			s.Write(t, websocket.MessageBinary, []byte(text+"\xff"[:min(1, 65_536-len(text))]))
			if g := s.Next(t); !g.Binary || !strings.HasPrefix(g.Raw, text) {
				t.Errorf("binary %.20q came back as %.20q (binary: %v)", text, g.Raw, g.Binary)
			}
		}
		s.WriteFragments(t, websocket.MessageText, []string{"gr\xc3", "\xbc", "ße"}) // whole only together
		if g := s.Next(t); g.Raw != "grüße" {
			t.Errorf("fragments came back as %q", g.Raw)
		}
	})
	t.Run("greets", func(t *testing.T) {
		t.Parallel()
		s := open(t, "greet=1")
		g := s.Expect(t, "greeting")
		if g.Replica != "a" || g.Ref != s.Ref() || !strings.Contains(g.Raw, `"time":"20`) {
			t.Errorf("greeting: %s", g.Raw)
		}
	})
	for code, reason := range map[int]string{
		1000: "bye", 1001: "closed_as_asked", 1002: "protocol_error", 1003: "text_only", 1007: "invalid_utf8", 1008: "rate_limited",
		1009: "too_large", 1010: "closed_as_asked", 1011: "database_unavailable", 1012: "restart", 1013: "busy", 1014: "closed_as_asked",
		3000: "closed_as_asked", 4000: "missing_customer_id", 4001: "token_missing", 4003: "not_your_room", 4999: "closed_as_asked",
	} {
		t.Run("closes with "+strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			s := open(t, "close="+strconv.Itoa(code))
			if code != 1000 {
				s.ExpectRefusal(t, code, reason)
				return
			}
			if c, before := s.WaitClose(t); c.Code != 1000 || c.Reason != "bye ref="+s.Ref() || len(before) != 0 {
				t.Errorf("closed with %d %q after %v", c.Code, c.Reason, before)
			}
		})
	}
	for _, code := range []string{"", "x", "0", "999", "1004", "1005", "1006", "1015", "1016", "2999", "5000", "-1000", "4001.5", "99999999999999999999"} {
		t.Run("refuses to close with "+code, func(t *testing.T) {
			t.Parallel()
			open(t, "close="+code).ExpectRefusal(t, 4000, "bad_close_code")
		})
	}
	for _, ping := range []string{"", "on", "OFF", "0", "off "} {
		t.Run("refuses a ping of "+ping, func(t *testing.T) {
			t.Parallel()
			open(t, "ping="+url.QueryEscape(ping)).ExpectRefusal(t, 4000, "bad_ping")
		})
	}
	t.Run("greets before it closes", func(t *testing.T) {
		t.Parallel()
		s := open(t, "greet=1&close=4003")
		s.Expect(t, "greeting")
		s.ExpectRefusal(t, 4003, "not_your_room")
	})
}
