package redis_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The stores keep the same promises in every mode of Redis.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, start := range world.RedisModes {
		t.Run(name, func(t *testing.T) { //nolint:tparallel // they share servers
			t.Parallel()
			p := start(t)
			t.Run("the pipeline keeps the order", func(t *testing.T) { testPipeline(t, p) })
			t.Run("positions keep the newer one", func(t *testing.T) { testPositions(t, p) })
			t.Run("a ticket is good once", func(t *testing.T) { testTickets(t, p) })
			t.Run("attempts are counted across replicas", func(t *testing.T) { testThrottle(t, p) })
			t.Run("who is online is known to all", func(t *testing.T) { testPresence(t, p) })
		})
	}
}
