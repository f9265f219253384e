package session

import (
	"errors"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// An End is how a session ended.
type End struct {
	Ref, Endpoint, Remote string

	User    int64 // 0 where it needed no token, or had shown none
	Opened  time.Time
	At      time.Time
	By      string // server, client or network
	Code    int
	Reason  string
	Cause   error // what the socket or a store said; may be nil
	Refused bool  // by the handshake
	Cut     bool  // the peer's side ended the connection without a Close, not by a deadline of ours, nor in a silence that the client asked for

	Idle time.Duration // since the last byte either way
	Pong time.Duration // since the last pong; 0 if there was none

	Received, Sent           uint32 // messages
	ReceivedBytes, SentBytes uint64
	Behind                   int64 // messages that waited for the client
}

// Age returns how long it lived.
func (e *End) Age() time.Duration { return e.At.Sub(e.Opened) }

// ended says how a session has ended. Nobody changes it any more.
func (s *Session) ended() *End {
	now := time.Now()
	e := &End{
		Ref: s.log.Ref, Endpoint: s.endpoint.name, Remote: s.log.Remote, User: s.user,
		Opened: time.Unix(0, s.opened), At: now, By: s.by, Code: s.cause.Code, Reason: s.cause.Reason, Cause: s.cause.Cause, Refused: s.refused,
		Idle:     now.Sub(time.Unix(0, s.active.Load())),
		Received: s.received.Load(), Sent: s.sent.Load(), ReceivedBytes: s.receivedBytes.Load(), SentBytes: s.sentBytes.Load(),
	}
	if e.Reason == "" {
		e.Reason = "client" // a code of the client's own
	}
	if s.lastPong != 0 {
		e.Pong = now.Sub(time.Unix(0, s.lastPong))
	}
	if h, ok := s.handler.(interface{ Behind() int64 }); ok {
		e.Behind = h.Behind()
	}
	e.Cut = e.Code == 1006 && e.By == "network" && !errors.Is(e.Cause, os.ErrDeadlineExceeded) && !s.silent
	return e
}

// remove is the end of a session: it is counted, logged and told.
func (r *Registry) remove(s *Session) {
	r.mu.Lock()
	delete(r.sessions, s)
	r.mu.Unlock()
	r.count.Add(-1)
	s.endpoint.connections.Dec()
	e := s.ended()
	code := strconv.Itoa(e.Code)
	label := code
	if frame.Find(e.Code, s.cause.Reason).Word == "" && e.Code != 1006 {
		label = "other" // clients choose from a thousand codes; a label may not
	}
	r.metrics.closes.WithLabelValues(s.endpoint.name, label, e.Reason).Inc()
	r.metrics.age.Observe(e.Age().Seconds())
	attrs := []slog.Attr{
		slog.String("code", code), slog.String("reason", e.Reason), slog.String("by", e.By),
		slog.Duration("age", e.Age().Round(time.Millisecond)),
		slog.Uint64("received", uint64(e.Received)), slog.Uint64("sent", uint64(e.Sent)),
		slog.Uint64("received_bytes", e.ReceivedBytes), slog.Uint64("sent_bytes", e.SentBytes),
	}
	if e.Cause != nil {
		attrs = append(attrs, slog.String("cause", e.Cause.Error()))
	}
	s.log.Info(s.endpoint.component, "WebSocket disconnected", attrs...)
	if r.options.Ended != nil {
		r.options.Ended(e)
	}
}
