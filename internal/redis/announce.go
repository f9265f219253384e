package redis

import "context"

// Announce publishes one payload to a group, for who lets no layer run: a command.
// An error wraps [room.ErrUnavailable].
func (c *Client) Announce(ctx context.Context, group string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.redis.Publish(ctx, c.Layer.prefix+group, append([]byte{version}, payload...)).Err(); err != nil {
		return unavailable("publish to "+group, err)
	}
	return nil
}
