package redis

import (
	"context"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// Ping sends PING over a connection that no other command takes. Errors wrap [room.ErrUnavailable].
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.checks.Ping(ctx).Err(); err != nil {
		return c.unavailable("PING", err)
	}
	return nil
}

// CheckWrite writes a key that expires after a second: a server may answer PING and
// still refuse writes. It uses the connections of Ping. Errors wrap [room.ErrUnavailable]. PUBLISH may work nevertheless.
func (c *Client) CheckWrite(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r, err := c.ring("SET")
	if err != nil {
		return err
	}
	if err := c.checks.Set(ctx, c.name(&r.Deployment, "check", ":"+c.replica), "", time.Second).Err(); err != nil {
		return c.unavailable("SET", err)
	}
	return nil
}

// Publish publishes one event to a group. It is for commands, which run no [Pipeline].
// Errors wrap [room.ErrUnavailable].
func (c *Client) Publish(ctx context.Context, group string, body event.Body) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r, err := c.ring("publish to " + group)
	if err != nil {
		return err
	}
	name := c.Name(&r.Deployment, group)
	if err := c.redis.Publish(ctx, name, r.Seal(nil, name, time.Now(), body)).Err(); err != nil {
		return c.unavailable("publish to "+group, err)
	}
	return nil
}

// ServerVersion returns the version of the Redis server, or "" if it is unknown: an ACL may
// forbid INFO.
func (c *Client) ServerVersion(ctx context.Context) string {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	info, err := c.redis.Info(ctx, "server").Result()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
