package app

import (
	"context"
	"fmt"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/revocation"
)

// TellReplicas makes every running replica ask Postgres, within a second, whose
// sockets have to end. Of the options it needs those of Redis. Replicas that it
// does not reach ask by themselves within a minute.
func TellReplicas(ctx context.Context, o Options) error {
	client, err := redis.Open(o.redis(), nil)
	if err != nil {
		return fmt.Errorf("--redis-url: %w", err)
	}
	defer func() { _ = client.Close() }() // nothing is lost with it
	if err := channel.Announce(ctx, client, revocation.Group, revocation.Look()); err != nil {
		return fmt.Errorf("tell the replicas: %w", err)
	}
	return nil
}
