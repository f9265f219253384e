package world

import (
	"context"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Redis returns the shared server's URL and a prefix for the names of keys and channels that no other test uses, in this
// process or another. Keys that begin with it are deleted at the end of the test.
func Redis(t testing.TB) (url, prefix string) {
	t.Helper()
	url, prefix = shared.channel(t), "test-"+run+"-"+shared.next()+":"
	t.Cleanup(func() {
		ctx, cancel := limited(t)
		defer cancel()
		if err := deleteKeys(ctx, url, prefix); err != nil {
			t.Errorf("world: delete keys %s*: %v", prefix, err)
		}
	})
	return url, prefix
}

// channel returns the URL of the shared server, which it starts at its first use.
func (b *binary) channel(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("ROOMSPA_TEST_REDIS_URL"); given != "" {
		return given
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.redis == nil {
		ctx, cancel := limited(t)
		defer cancel()
		server, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{
			Dir: b.placeLocked(t, "redis"), Settings: sandbox.RedisTestSettings(),
		})
		if err != nil {
			t.Fatalf("world: %v", err)
		}
		b.redis = server
	}
	return b.redis.URL()
}

func deleteKeys(ctx context.Context, url, prefix string) error {
	options, err := goredis.ParseURL(url)
	if err != nil {
		return err //nolint:wrapcheck // the caller names the operation
	}
	client := goredis.NewClient(options)
	defer func() { _ = client.Close() }()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, prefix+"*", 1000).Result()
		if err == nil && len(keys) > 0 {
			err = client.Unlink(ctx, keys...).Err()
		}
		if err != nil || next == 0 {
			return err //nolint:wrapcheck // as above
		}
		cursor = next
	}
}
