package redis_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestChecksNeedNoConnectionOfOthers(t *testing.T) {
	t.Parallel()
	url, prefix := world.Redis(t)
	const size = 2
	c := open(t, redis.Options{URL: url, Prefix: prefix, PoolSize: size})
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer c.Redial() // ends what waits
	for range size {
		waiting.Go(func() { c.Block(t.Context()) })
	}
	world.Eventually(t, "all connections are taken", func() (bool, any) {
		_, _, _, err := c.Tickets.Redeem(t.Context(), "NOTICKETNOTICKETNOTICKET00")
		return err != nil && strings.Contains(err.Error(), "connection pool timeout"), err
	})
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.CheckWrite(t.Context()); err != nil {
		t.Error(err)
	}
}
