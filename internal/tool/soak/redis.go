package soak

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// killClients cuts connections from the server's side (CLIENT KILL): those of a
// type, or all of them. Clients reconnect at once, and may never notice what they
// have missed.
func killClients(ctx context.Context, url, kind string) error {
	ctx, cancel := mending(ctx)
	defer cancel()
	o, err := goredis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("read the address of Redis: %w", err)
	}
	o.PoolSize, o.DisableIdentity = 1, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	c := goredis.NewClient(o)
	filter := []string{"SKIPME", "yes"}
	if kind != "" {
		filter = append(filter, "TYPE", kind)
	}
	if err := errors.Join(c.ClientKillByFilter(ctx, filter...).Err(), c.Close()); err != nil {
		return fmt.Errorf("kill connections: %w", err)
	}
	return nil
}
