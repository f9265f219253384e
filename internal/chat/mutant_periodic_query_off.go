//go:build mutant_periodic_query_off

package chat

import "context"

// due waits for a doubt, and for nothing else.
func (c *Chat) due(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c.doubts:
		return true
	}
}
