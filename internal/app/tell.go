package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/revocation"
)

// TellReplicas makes every running replica ask Postgres, within a second, whose
// sockets have to end. Of the options it needs those of Redis. Replicas that it
// does not reach ask by themselves within a minute.
func TellReplicas(ctx context.Context, o Options) error {
	client, err := redis.Open(o.redis(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return fmt.Errorf("--redis-url: %w", err)
	}
	defer func() { _ = client.Close() }() // nothing is lost with it
	announce := func(group string, payload []byte) error { return client.Announce(ctx, group, payload) }
	if err := revocation.RequestCheck(announce); err != nil {
		return fmt.Errorf("tell the replicas: %w", err)
	}
	return nil
}
