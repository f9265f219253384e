package sandboxtest

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// OwnPostgres starts a Postgres for this test alone, to stop, pause, kill and restart; it is stopped at the end of the
// test. Its settings are sandbox.TestSettings and those given, the later ones winning. Its log is the test's output.
func OwnPostgres(t testing.TB, settings ...map[string]string) *sandbox.Postgres {
	t.Helper()
	ctx, cancel := starting(t)
	defer cancel()
	p, err := sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
		Dir: shared.place(t, "pg"), Settings: merge(sandbox.TestSettings(), settings), QuickInit: true, Log: t.Output(),
	})
	if err != nil {
		t.Fatalf("sandboxtest: %v", err)
	}
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

// OwnRedis starts a Redis for this test alone, to stop, pause, kill and restart; it is stopped at the end of the test.
// Its settings are sandbox.RedisTestSettings, which keep nothing on disk, and those given, the later ones winning. Its
// log is the test's output.
func OwnRedis(t testing.TB, settings ...map[string]string) *sandbox.Redis {
	t.Helper()
	ctx, cancel := starting(t)
	defer cancel()
	r, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{
		Dir: shared.place(t, "redis"), Settings: merge(sandbox.RedisTestSettings(), settings), Log: t.Output(),
	})
	if err != nil {
		t.Fatalf("sandboxtest: %v", err)
	}
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

func stop(t testing.TB, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Errorf("sandboxtest: %v", err)
	}
}

func merge(base map[string]string, more []map[string]string) map[string]string {
	for _, settings := range more {
		maps.Copy(base, settings)
	}
	return base
}
