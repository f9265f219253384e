package session

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// An End describes how a session ended.
type End struct {
	Ref, Endpoint, Remote string

	User    int64   // 0 if no token was accepted
	IDs     []int64 // the users that the path names
	Opened  time.Time
	At      time.Time
	By      string // server, client or network
	Code    int
	Reason  string
	Cause   error // error of the connection or of a store; may be nil
	Refused bool  // the handshake failed
	// Cut is true if the connection was lost without a Close. It is false after a timeout
	// of ours, and while pings were off because the client asked for it.
	Cut bool

	Idle time.Duration // since the last byte in either direction
	Pong time.Duration // since the last pong; 0 if there was none

	Received, Sent           uint32 // messages
	ReceivedBytes, SentBytes uint64
	Behind                   int64 // messages not yet sent to the client
}

// Age returns how long the session was open.
func (e *End) Age() time.Duration { return e.At.Sub(e.Opened) }

// summarize describes how the session ended. It takes no lock, because nothing changes a
// finished session.
func (s *Session) summarize() *End {
	now := time.Now()
	e := &End{
		Ref: s.log.Ref, Endpoint: s.endpoint.name, Remote: s.log.Remote, User: s.user, IDs: s.ids,
		Opened: time.Unix(0, s.opened), At: now, By: s.endedBy, Code: s.cause.Code, Reason: s.cause.Reason, Cause: s.cause.Cause, Refused: s.refused,
		Idle:     now.Sub(time.Unix(0, s.lastActive.Load())),
		Received: s.received.Load(), Sent: s.sent.Load(), ReceivedBytes: s.receivedBytes.Load(), SentBytes: s.sentBytes.Load(),
	}
	if e.Reason == "" {
		e.Reason = "client" // the client chose the code
	}
	if s.lastPong != 0 {
		e.Pong = now.Sub(time.Unix(0, s.lastPong))
	}
	if h, ok := s.handler.(interface{ Behind() int64 }); ok {
		e.Behind = h.Behind()
	}
	e.Cut = e.Code == 1006 && e.By == "network" && !errors.Is(e.Cause, os.ErrDeadlineExceeded) && !s.pingsPaused
	return e
}

// remove takes a finished session out of the registry, counts it, logs it and reports it to
// [Options.OnEnd].
func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	delete(r.sessions, s)
	if s.member != nil {
		r.leaveLocked(s)
	}
	r.mu.Unlock()
	if s.refused {
		r.refused.Add(-1)
	}
	r.release(s.endpoint)
	s.account.Close()
	e := s.summarize()
	code := strconv.Itoa(e.Code)
	label := code
	if frame.Find(e.Code, s.cause.Reason).Word == "" && e.Code != 1006 {
		label = "other" // clients can choose any code; the label must stay bounded
	}
	r.metrics.closes.WithLabelValues(s.endpoint.name, label, e.Reason).Inc()
	r.metrics.age.Observe(e.Age().Seconds())
	attrs := []slog.Attr{
		slog.String("code", code), slog.String("reason", e.Reason), slog.String("by", e.By),
		slog.Duration("age", e.Age().Round(time.Millisecond)),
		slog.Uint64("received", uint64(e.Received)), slog.Uint64("sent", uint64(e.Sent)),
		slog.Uint64("received_bytes", e.ReceivedBytes), slog.Uint64("sent_bytes", e.SentBytes),
	}
	if e.Code == 1006 {
		attrs = append(attrs, slog.Duration("idle", e.Idle.Round(time.Millisecond)))
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	s.log.Info(s.endpoint.component, "WebSocket disconnected", attrs...)
	s.log.Note(s.endpoint.component, "WebSocket disconnected", attrs...)
	if r.options.OnEnd != nil {
		r.options.OnEnd(e)
	}
}

// fail ends the session with err if it is a *frame.Close, else with 1011.
func (s *Session) fail(err error) {
	if c, ok := errors.AsType[*frame.Close](err); ok {
		s.End(c)
		return
	}
	s.log.Error(s.endpoint.component, "Internal error: "+err.Error())
	s.End(&frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err})
}

// recoverPanic ends the session if the handler panics. It must be deferred.
func (s *Session) recoverPanic(where string) {
	if p := recover(); p != nil {
		s.fail(fmt.Errorf("panic in %s: %v\n%s", where, p, debug.Stack()))
	}
}
