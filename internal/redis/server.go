package redis

import (
	"context"
	"strings"
	"time"
)

// Version returns the version of the server that answers, or "" where it does not
// say: an ACL may have taken the command away.
func (c *Client) Version(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
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

// Write leaves a word in Redis for a moment: a server may answer and take no writes.
// An error wraps [room.ErrUnavailable]. Payloads get through nevertheless.
func (c *Client) Write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.redis.Set(ctx, c.probe, "", time.Second).Err(); err != nil {
		return unavailable("SET", err)
	}
	return nil
}
