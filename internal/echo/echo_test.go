package echo_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/echo"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/session"
)

type socket struct {
	log      logging.Conn
	unpinged time.Duration
	budget   *budget.Budget
	account  budget.Account
}

func (s *socket) Wake()                      {}
func (s *socket) Log() *logging.Conn         { return &s.log }
func (s *socket) Renew(string) error         { return nil }
func (s *socket) PausePings(d time.Duration) { s.unpinged = d }
func (s *socket) Account() *budget.Account   { return &s.account }

func open(t *testing.T, query string) (endpoint.Consumer, *socket) {
	t.Helper()
	s := &socket{log: logging.Conn{Log: slog.New(slog.DiscardHandler), Ref: "0123456789abcdef"}, budget: budget.New(1 << 20)}
	s.account.Open(s.budget, true)
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	e := echo.Endpoint("a", nil)
	if bad := e.Query(q); bad != nil {
		t.Fatal(bad)
	}
	c := e.New(endpoint.Peer{Query: q, Socket: s})
	if err := c.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// next returns the next frame, or the close, in short.
func next(t *testing.T, c endpoint.Consumer) string {
	t.Helper()
	m, err := c.Next(t.Context(), true)
	if end, ok := errors.AsType[*frame.Close](err); ok {
		return fmt.Sprintf("close %d %s", end.Code, end.Reason)
	}
	if m.Binary {
		return "binary " + string(m.Data)
	}
	return string(m.Data)
}

func TestEveryMessageComesBack(t *testing.T) {
	t.Parallel()
	c, s := open(t, "")
	for _, m := range []frame.Message{{Data: []byte("grüße")}, {Data: []byte("\xff"), Binary: true}} {
		if err := c.Receive(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if got := next(t, c) + next(t, c) + next(t, c); got != "grüßebinary \xff" {
		t.Errorf("came back: %q", got)
	}
	if err := c.Receive(t.Context(), frame.Message{Data: []byte("hi"), Limited: true}); err != nil || !strings.Contains(next(t, c), `"rate_limited"`) {
		t.Errorf("over the rate: %v", err)
	}
	err := c.Receive(t.Context(), frame.Message{Data: []byte("\xff")})
	if end, ok := errors.AsType[*frame.Close](err); !ok || end.Code != 1007 {
		t.Errorf("text that is not UTF-8: %v", err)
	}
	if s.unpinged != 0 {
		t.Error("pings are suspended")
	}
}

func TestTheBacklogIsBounded(t *testing.T) {
	t.Parallel()
	c, s := open(t, "")
	p, ok := c.(session.Pacer)
	if !ok {
		t.Fatal("the session cannot ask whether the client reads")
	}
	m, sent := frame.Message{Data: make([]byte, 60<<10), Binary: true}, 0
	for ; p.Ready(); sent++ {
		if err := c.Receive(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if sent != 2 {
		t.Errorf("%d messages of 60 KiB wait for the client", sent)
	}
	if s.budget.Held() == 0 {
		t.Error("the backlog is not counted")
	}
	for range sent {
		_ = next(t, c)
	}
	if !p.Ready() || s.budget.Held() != 0 {
		t.Errorf("ready: %t, and %d bytes are held when all was taken", p.Ready(), s.budget.Held())
	}
}

func TestAnEchoWithoutRoomInTheBudget(t *testing.T) {
	t.Parallel()
	c, s := open(t, "")
	for s.account.Take(1 << 10) { // somebody else holds the rest
	}
	if err := c.Receive(t.Context(), frame.Message{Data: make([]byte, 5<<10)}); err != nil {
		t.Fatal(err)
	}
	if p, ok := c.(session.Pacer); !ok || p.Ready() {
		t.Error("a further message is handled")
	}
	err := c.Receive(t.Context(), frame.Message{Data: make([]byte, 5<<10)})
	if end, ok := errors.AsType[*frame.Close](err); !ok || end.Reason != "over_budget" {
		t.Errorf("a backlog without room: %v", err)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	c, s := open(t, "greet=1&close=4001&ping=off")
	if got := next(t, c); !strings.Contains(got, `"type":"greeting"`) || !strings.Contains(got, `"replica":"a"`) {
		t.Errorf("greeting: %s", got)
	}
	if got := next(t, c); got != "close 4001 token_missing" {
		t.Errorf("then came %s", got)
	}
	if s.unpinged != 10*time.Minute {
		t.Errorf("pings are suspended for %v", s.unpinged)
	}
	for query, want := range map[string]string{"close=1": "bad_close_code", "close=": "bad_close_code", "ping=on": "bad_ping", "ping=on&close=x": "bad_close_code"} {
		q, _ := url.ParseQuery(query)
		if bad := echo.Endpoint("a", nil).Query(q); bad == nil || bad.Code != 4000 || bad.Reason != want {
			t.Errorf("%s: %v, want %s", query, bad, want)
		}
	}
}
