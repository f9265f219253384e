package redis

import (
	"context"
	"time"
)

// writableTTL is how long the key lives that Writable leaves.
const writableTTL = time.Minute

// Writable asks whether Redis takes writes. One that does not, a replica or one whose
// memory is full, still passes messages on: only positions, tickets and what counts
// sign-ins fail. It returns within [timeout].
func (c *Client) Writable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.redis.Set(ctx, c.prefix+"writable", "", writableTTL).Err(); err != nil {
		return unavailable("SET", err)
	}
	return nil
}
