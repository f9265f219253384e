package app

import (
	"log/slog"

	"github.com/roomspa/roomspa/internal/listen"
)

// connectionLimits bounds the connections of the public listener.
func (a *App) connectionLimits() *listen.Limits {
	o := &a.options
	limits := listen.NewLimits(listen.LimitOptions{
		Sockets: o.HardLimit, Files: o.DatabaseMaxConnections, Memory: a.memory.Limit(), Share: o.AddressShare,
	}, a.log, a.reg)
	if limits.Places() < o.SoftLimit {
		a.logf(slog.LevelWarn, "Open-file limit too low: only %d connections fit into it, and --soft-limit is %d", limits.Places(), o.SoftLimit)
	}
	return limits
}
