package sandboxtest

import (
	"context"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Redis returns the shared server's URL and a prefix that no other test uses, in this process or another, for the names
// of keys and channels. Keys that begin with it are deleted at the end of the test.
func Redis(t testing.TB) (url, prefix string) {
	t.Helper()
	url, prefix = shared.channel(t), "test-"+run+"-"+shared.next()+":"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := forget(ctx, url, prefix); err != nil {
			t.Errorf("sandboxtest: delete keys %s*: %v", prefix, err)
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
		ctx, cancel := starting(t)
		defer cancel()
		server, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{
			Dir: b.placeLocked(t, "redis"), Settings: sandbox.RedisTestSettings(),
		})
		if err != nil {
			t.Fatalf("sandboxtest: %v", err)
		}
		b.redis = server
	}
	return b.redis.URL()
}

func forget(ctx context.Context, url, prefix string) error {
	options, err := goredis.ParseURL(url)
	if err != nil {
		return err //nolint:wrapcheck // the caller says what it was for
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
