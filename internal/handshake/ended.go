package app

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// ended is told how each socket ended. The story is kept of those that somebody may
// ask about: the ordinary ends are in the log.
func (a *App) ended(e *session.End) {
	if e.Cut {
		a.closes.Cut(e.At, e.Idle)
	}
	if ordinary(e) {
		return
	}
	s := &story.Story{
		Version: story.Version, Ref: e.Ref, Began: e.Opened, Endpoint: e.Endpoint, Remote: e.Remote, User: e.User,
		Cause: cause.Of(e.Cause),
		End: &story.End{
			At: e.At, By: e.By, Code: e.Code, Reason: e.Reason, Age: e.Age(), Idle: e.Idle, Pong: e.Pong,
			Received: e.Received, Sent: e.Sent, ReceivedBytes: e.ReceivedBytes, SentBytes: e.SentBytes, Behind: e.Behind,
		},
	}
	if e.Cause != nil {
		s.End.Detail = story.Clip(e.Cause.Error())
	}
	a.stories.Failed(s)
}

// ordinary reports whether nobody asks why a socket ended so: one side wanted it, or
// the handshake's own story tells it.
func ordinary(e *session.End) bool {
	switch e.Code {
	case frame.CodeNormal, frame.CodeGoingAway, frame.CodeRestart:
		return true
	}
	return e.Refused || e.By == "client" || e.Reason == "closed_as_asked"
}

// Explain tells what Redis knows under a reference. Of the options it needs those of
// Redis. It is [story.ErrUnknown] where that is nothing.
func Explain(ctx context.Context, o Options, ref string) (*story.Told, error) {
	client, err := redis.Open(o.redis(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, fmt.Errorf("--redis-url: %w", err)
	}
	defer func() { _ = client.Close() }() // nothing is lost with it
	return story.Tell(ctx, client.Stories, ref)
}
