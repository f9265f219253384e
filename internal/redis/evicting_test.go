package redis_test

import (
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestAnEvictingRedisIsNamed lets another application fill a shared Redis.
func TestAnEvictingRedisIsNamed(t *testing.T) {
	t.Parallel()
	url := world.StartRedis(t, map[string]string{"maxmemory": "3mb", "maxmemory-policy": "volatile-ttl"}).URL()
	c := open(t, redis.Options{URL: url, Prefix: "roomspa:"})
	if _, warnings, err := c.CheckSettings(t.Context()); err != nil || strings.Contains(strings.Join(warnings, " "), "redis_evicting") {
		t.Fatalf("before: %q, %v", warnings, err)
	}
	if err := c.Warn(t.Context()); err != nil {
		t.Fatalf("before: %v", err)
	}
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	other := goredis.NewClient(o)
	defer other.Close()
	for i := range 5000 {
		if err := other.Set(t.Context(), fmt.Sprint("cache:", i), strings.Repeat("x", 1000), 3600e9).Err(); err != nil {
			t.Fatal(err)
		}
	}
	_, warnings, err := c.CheckSettings(t.Context())
	if text := strings.Join(warnings, " "); err != nil || !strings.Contains(text, "redis_evicting: Redis has evicted") || !strings.Contains(text, "keys are not roomspa's") {
		t.Errorf("%q, %v", warnings, err)
	}
	if err := c.Warn(t.Context()); cause.Of(err) != "redis_evicting" || !strings.Contains(err.Error(), "Redis has evicted") {
		t.Errorf("the replica warns: %v", err)
	}
}
