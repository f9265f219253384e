package app

import (
	"log/slog"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// connectionLimits bounds the connections of the public listener.
func (a *App) connectionLimits() *listen.Limits {
	o := &a.options
	limits := listen.NewLimits(listen.LimitOptions{
		Sockets: o.HardLimit, Wanted: o.SoftLimit, Files: o.DatabaseMaxConnections, Memory: a.memory.Limit(), Share: o.AddressShare, Trusted: o.TrustedProxies,
	}, a.log, a.reg)
	for _, err := range limits.Findings() {
		a.logf(slog.LevelWarn, "Open-file limit too low: %v", err)
	}
	return limits
}

// sessionOptions are the limits of sockets, and what follows their end.
func (a *App) sessionOptions() session.Options {
	o := a.options.session()
	o.TokenLeeway, o.Memory, o.Budget = auth.Leeway, a.memory.Share, a.budget
	o.ShareRate = a.options.AddressShare < 1
	renew := handshake.Renew(a.keys)
	o.Renew = func(token string, former session.Token) (session.Token, error) {
		t, err := renew(token, former)
		if err == nil {
			a.revocations.CheckHere(room.UserID(t.User))
		}
		return t, err
	}
	o.OnEnd = func(e *session.End) {
		a.limits.CloseSocket(e.Remote)
		if e.Cut {
			a.idleCuts.Add(e.At, e.Idle, e.User, e.Remote)
		}
		handshake.KeepEnd(a.stories, &a.failures, e)
	}
	return o
}
