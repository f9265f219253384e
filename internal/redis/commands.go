package redis

import (
	"context"
	"strings"
	"time"
)

// Ping sends PING. Errors wrap [room.ErrUnavailable].
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return c.unavailable("PING", err)
	}
	return nil
}

// CheckWrite writes a key that expires after a second: a server may answer PING and
// still refuse writes. Errors wrap [room.ErrUnavailable]. PUBLISH may work nevertheless.
func (c *Client) CheckWrite(ctx context.Context) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.redis.Set(ctx, c.checkKey, "", time.Second).Err(); err != nil {
		return c.unavailable("SET", err)
	}
	return nil
}

// Publish publishes one payload. It is for commands, which run no [Pipeline]. Errors
// wrap [room.ErrUnavailable].
func (c *Client) Publish(ctx context.Context, channel string, payload []byte) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.redis.Publish(ctx, channel, append([]byte{Version}, payload...)).Err(); err != nil {
		return c.unavailable("publish to "+channel, err)
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
