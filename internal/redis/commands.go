package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
)

// Ping sends PING over a connection that no other command takes. Errors wrap
// [room.ErrUnavailable]. If a failure may be one of another protocol on the port, Ping also finds
// out what listens there, which takes 2 s more once in 15 s.
func (c *Client) Ping(ctx context.Context) error {
	limited, cancel := c.withTimeout(ctx)
	defer cancel()
	if err := c.checks.Ping(limited).Err(); err != nil && !answersPing(err) {
		return c.unavailable("PING", c.investigate(ctx, c.translate(err)))
	}
	return nil
}

// answersPing reports whether an error is an answer to PING. A Redis that cannot save its data
// answers PING as it answers writes, and serves all else.
func answersPing(err error) bool { return goredis.HasErrorPrefix(err, "MISCONF") }

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
	sealed := r.Seal(nil, name, time.Now(), body)
	err = c.redis.Publish(ctx, name, sealed).Err()
	if c.isCluster() && err == nil {
		// Replicas listen to one of the two. A command does not know to which.
		if err = c.redis.SPublish(ctx, name, sealed).Err(); refusesSharding(err) {
			err = nil // then replicas cannot use it either
		}
	}
	if err != nil {
		return c.unavailable("publish to "+group, err)
	}
	return nil
}
