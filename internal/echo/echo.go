package handshake

import (
	"context"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// echoBacklog is how many bytes of echo may wait for a client that sends and does
// not read.
const echoBacklog = 1 << 20

// unpinged is how long a socket with ?ping=off is left silent: longer than the idle
// time-outs that proxies have, and not so long that peers which are gone pile up.
const unpinged = 10 * time.Minute

// test answers /ws/test/: no token, no room, only an echo. It shows whether a
// WebSocket gets through at all, and with ?close= what each code looks like.
func (s *Server) test(a *attempt, full session.Full, began time.Time) {
	a.log.Info(a.endpoint.Component, "Connection attempt started")
	socket := a.peer.Session
	code, bad := parseCloseCode(a.query)
	ping, badPing := parsePing(a.query)
	var refused error
	switch {
	case bad != nil:
		refused = &rejection{close: bad, component: a.endpoint.Component, line: "Connection rejected - bad close code: " + bad.Detail}
	case badPing != nil:
		refused = &rejection{close: badPing, component: a.endpoint.Component, line: "Connection rejected - bad ping: " + badPing.Detail}
	case full != "":
		refused = busy(full)
	}
	if refused != nil {
		s.refuse(a, refused, began)
		socket.Start(nil)
		return
	}
	e := &echo{socket: socket}
	if a.query.Get("greet") == "1" {
		_ = e.out.Add(frame.Message{Data: frame.Encode(frame.Greeting{ // an empty outbox takes anything
			Type: frame.TypeGreeting, Replica: s.options.Replica, Ref: a.log.Ref,
			Time: time.Now().UTC().Format(frame.TimeLayout),
		})}, echoBacklog)
	}
	a.log.Info(a.endpoint.Component, "Connection accepted")
	s.accepted(a, began)
	if !ping {
		socket.Unpinged(unpinged)
	}
	if code != 0 {
		e.closeWith = asked(code)
	}
	socket.Start(e)
}

// asked returns a close of the given code, with the first of its reasons.
func asked(code int) *frame.Close {
	c := &frame.Close{Code: code, Reason: "closed_as_asked", Detail: "you asked for close code " + strconv.Itoa(code)}
	if r := frame.Find(code, ""); r.Word != "" {
		c.Reason = r.Word
	}
	if code == frame.CodeRestart || code == frame.CodeTryLater {
		c.After = time.Second
	}
	return c
}

// An echo sends back every frame unchanged.
type echo struct {
	socket    *session.Session
	closeWith *frame.Close

	mu  sync.Mutex
	out frame.Outbox
}

// Receive queues the message to go back.
func (e *echo) Receive(_ context.Context, m frame.Message) error {
	switch {
	case !m.Binary && !utf8.Valid(m.Data):
		return &frame.Close{Code: frame.CodeInvalidData, Reason: "invalid_utf8", Detail: "the text frame is not UTF-8"}
	case m.Limited:
		m = frame.Message{Data: frame.Encode(frame.Error{Type: frame.TypeError, Code: "rate_limited", Detail: "too many frames a second; this one was not echoed", Ref: e.socket.Log().Ref})}
	}
	e.mu.Lock()
	err := e.out.Add(m, echoBacklog)
	e.mu.Unlock()
	if err != nil {
		return &frame.Close{Code: frame.CodeTryLater, Reason: "slow_consumer", Detail: "the client sends and does not read", After: time.Second}
	}
	e.socket.Wake()
	return nil
}

// Next returns the oldest message that waits.
func (e *echo) Next(context.Context) (frame.Message, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.out.Take()
	if m.Data == nil && e.closeWith != nil {
		return m, e.closeWith
	}
	return m, nil
}

// Closed has nothing to give back.
func (e *echo) Closed() {}
