package redis

import (
	"context"
	"time"
)

// Block takes a pooled connection for a minute, or until Redial.
func (c *Client) Block(ctx context.Context) { c.redis.BLPop(ctx, time.Minute, c.prefix+"nothing") }
