package world

import (
	"context"
	"maps"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// StartPostgres starts a Postgres for this test alone, to stop, pause, kill and restart. It is stopped at the end of the
// test. Its settings are sandbox.TestSettings and those given; later ones win. Its log goes to the test's output.
func StartPostgres(t testing.TB, settings ...map[string]string) *sandbox.Postgres {
	t.Helper()
	ctx, cancel := limited(t)
	defer cancel()
	p, err := sandbox.StartPostgres(ctx, sandbox.PostgresOptions{
		Dir: shared.place(t, "pg"), Settings: merge(sandbox.TestSettings(), settings), QuickInit: true, Log: t.Output(),
	})
	if err != nil {
		t.Fatalf("world: %v", err)
	}
	t.Cleanup(func() { stop(t, p.Stop) })
	return p
}

// StartRedis starts a Redis for this test alone, to stop, pause, kill and restart. It is stopped at the end of the test.
// Its settings are sandbox.RedisTestSettings, which keep nothing on disk, and those given; later ones win. Its log goes
// to the test's output.
func StartRedis(t testing.TB, settings ...map[string]string) *sandbox.Redis {
	t.Helper()
	ctx, cancel := limited(t)
	defer cancel()
	r, err := sandbox.StartRedis(ctx, sandbox.RedisOptions{
		Dir: shared.place(t, "redis"), Settings: merge(sandbox.RedisTestSettings(), settings), Log: t.Output(),
	})
	if err != nil {
		t.Fatalf("world: %v", err)
	}
	t.Cleanup(func() { stop(t, r.Stop) })
	return r
}

func stop(t testing.TB, stop func(context.Context) error) {
	t.Helper()
	ctx, cancel := limited(t)
	defer cancel()
	if err := stop(ctx); err != nil {
		t.Errorf("world: %v", err)
	}
}

func merge(base map[string]string, more []map[string]string) map[string]string {
	for _, settings := range more {
		maps.Copy(base, settings)
	}
	return base
}
