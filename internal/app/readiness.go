package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/console"
	"github.com/roomspa/roomspa/internal/ops"
)

func (a *App) opsHandler() http.Handler {
	return ops.New(ops.Options{
		Replica: a.options.Replica, Version: a.version, Gatherer: a.reg, Draining: a.sockets.Draining, Monitor: a.monitor, Stories: a.stories,
		Console:  a.console(console.Fleet),
		Failures: &a.failures, Findings: a.findings,
		IdleCuts: func() any { return a.idleCuts.Report(time.Now()) }, Token: func() string { return *a.opsToken.Load() },
		Inspector: a.inspector, Stopping: a.hurry.Done(),
	})
}

// findings are the warnings of /readyz beside those of its checks.
func (a *App) findings() []error {
	return append(a.fleet.Findings(), a.limits.Findings()...) // the check proxies has the other one
}

// connectTime is how long after its start a replica may not be connected yet.
const connectTime = 2 * time.Second

// checks are the checks of /readyz.
func (a *App) checks() []ops.Check {
	start := time.Now()
	return []ops.Check{
		{Name: "postgres", Address: a.db.Address(), Run: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			return a.db.CheckSchema(ctx)
		}, Warn: a.db.CheckWrites},
		{Name: "redis", Run: func(ctx context.Context) (string, error) {
			if err := a.redis.Ping(ctx); err != nil {
				return "", err
			}
			return "PING " + a.redis.Address(), a.redis.CheckAccess(ctx)
		}, Warn: a.redis.Warn},
		{Name: "channel_layer", Run: func(ctx context.Context) (string, error) {
			select { // a probe may come before the first connection, which is no failure
			case <-a.layer.Started():
			case <-time.After(time.Until(start.Add(connectTime))):
			case <-ctx.Done():
			}
			if _, err := a.layer.Health(); err != nil {
				return "", err
			}
			return "a test message came back over the subscription", a.layer.Check(ctx)
		}, Warn: func(context.Context) error { return a.layer.Finding() }},
		// A replica that others do not hear still serves its own sockets, so this never fails.
		{Name: "replicas", Run: func(context.Context) (string, error) {
			return a.fleet.Summary(), nil
		}, Warn: func(context.Context) error { return a.fleet.Finding() }},
		{Name: "proxies", Run: func(context.Context) (string, error) {
			return fmt.Sprintf("%d trusted ranges", len(a.options.TrustedProxies)), nil
		}, Warn: func(context.Context) error { return a.proxies.Finding() }},
	}
}
