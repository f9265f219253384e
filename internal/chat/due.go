package chat

import (
	"context"
	"math/rand/v2"
	"time"
)

// due waits until it is time to sweep: after 10 s, with jitter so that replicas do
// not come together, or as soon as there is a doubt. It returns false when ctx has
// ended.
func (c *Chat) due(ctx context.Context) bool {
	timer := time.NewTimer(sweepEvery/2 + rand.N(sweepEvery))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-c.doubts:
	case <-timer.C:
	}
	return true
}
